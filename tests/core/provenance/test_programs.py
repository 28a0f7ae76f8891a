"""What git, git-annex and DataLad say, as a sentence."""

import subprocess

from badc_core.provenance.programs import program_failed


def test_a_repository_of_another_user_is_named_with_what_to_type(tmp_path) -> None:
    said = (
        b"fatal: detected dubious ownership in repository at '/data/birds/.git'\n"
        b"To add an exception for this directory, call: ...\n"
    )
    ended = subprocess.CompletedProcess(("git",), 128, b"", said)
    assert str(program_failed(("git", "clone", "x"), tmp_path, ended)) == (
        "/data/birds/.git: git reads no repository of another user. "
        "If you trust it: git config --global --add safe.directory /data/birds/.git"
    )
