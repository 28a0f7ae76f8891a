"""Programs in place of Slurm's commands."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts programs on PATH that answer as told.

    It returns a file with the words that the program is called with, line by line; beside it is one
    with its environment.
    """
    folder = tmp_path / "slurm's programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def answer(name: str, out: str = "", err: str = "", code: int = 0) -> Path:
        for stream, text in (("out", out), ("err", err)):
            (folder / f"{name}.{stream}").write_text(text)
        here = f'"{folder}/{name}'
        lines = f'echo "$*" >>{here}.asked"; env >{here}.env"; cat {here}.out"; cat {here}.err" >&2'
        (folder / name).write_text(f"#!/bin/sh\n{lines}\nexit {code}\n")
        (folder / name).chmod(0o755)
        asked = folder / f"{name}.asked"
        asked.touch()
        return asked

    return answer
