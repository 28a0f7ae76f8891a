"""What git, git-annex and DataLad say, as a sentence."""

import shlex
import subprocess

from badc_core.provenance.programs import program_failed


def test_a_repository_of_another_user_is_named_with_what_to_type(tmp_path) -> None:
    said = (
        b"fatal: detected dubious ownership in repository at '/data/o'brien's birds/.git'\n"
        b"To add an exception for this directory, call: ...\n"
    )
    ended = subprocess.CompletedProcess(("git",), 128, b"", said)
    message = str(program_failed(("git", "clone", "x"), tmp_path, ended))
    about, command = message.split(" If you trust it: ")
    assert about == "/data/o'brien's birds/.git: git reads no repository of another user."
    options = ["config", "--global", "--add", "safe.directory"]
    assert shlex.split(command) == ["git", *options, "/data/o'brien's birds/.git"]
