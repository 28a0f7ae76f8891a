"""Datasets of real recordings, and the installed `badc` command run as a user runs it."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import BADC

_PR_CAPBSET_DROP = 24
_CAPABILITIES_OVER_FILES = (1, 2)


def _obey_file_permissions() -> None:
    """Makes root, in this process, as bound by file permissions as anybody."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _CAPABILITIES_OVER_FILES:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """The environment of a user with a Dagster home of their own."""
    home = tmp_path_factory.mktemp("dagster_home")
    return {**os.environ, "DAGSTER_HOME": str(home), "COLUMNS": "200"}


@pytest.fixture
def badc(environment, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the `badc` command to its end, with a Dagster home of this test's own."""
    own = {**environment, "DAGSTER_HOME": str(tmp_path / "dagster_home")}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BADC, *map(str, arguments)],
            env=own,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
            preexec_fn=_obey_file_permissions,
        )

    return run


def make_many_recordings(folder: Path, field_audio: Path, n: int = 200) -> dict[str, str]:
    """Fills `folder/audio` with `n` recordings of which five are bad.

    Returns:
        name of the bad file -> words its error must hold.
    """
    sources = [field_audio / name for name in ("aru_1.wav", "aru_2.wav", "aru_3.wav")]
    audio = folder / "audio"
    good = [audio / f"S{number % 7}" / f"rec_{number:03d}.wav" for number in range(n - 9)]
    good += [audio / "S1" / "20230501_050000.wav", audio / "S2" / "20230501_050000.wav"]
    good += [audio / "Sambaa K'e é" / "dawn chorus.wav"]
    for number, path in enumerate(good):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources[number % 3], path)
    shutil.copyfile(field_audio / "veryshort.wav", audio / "S1" / "veryshort.wav")
    return _make_bad_recordings(audio / "S3", sources[0].read_bytes())


@pytest.fixture
def many_recordings(tmp_path, field_audio) -> tuple[Path, dict[str, str]]:
    """Returns a dataset of 200 recordings, and for the five bad ones words of their error."""
    return tmp_path / "many", make_many_recordings(tmp_path / "many", field_audio)


def _make_bad_recordings(folder: Path, whole: bytes) -> dict[str, str]:
    size_at = whole.index(b"data") + 4
    claims_less = whole[:size_at] + (1000).to_bytes(4, "little") + whole[size_at + 4 :]
    (folder / "empty.wav").write_bytes(b"")
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.wav").write_text("Rain from 5 a.m., recorder moved to the other pole.\n" * 20)
    (folder / "lying_header.wav").write_bytes(claims_less)
    (folder / "forbidden.wav").write_bytes(whole)
    (folder / "forbidden.wav").chmod(0)
    return {
        "empty": "empty",
        "truncated": "truncated",
        "notes": "not",
        "lying_header": "header",
        "forbidden": "permission",
    }
