"""Folders that cost seconds to build, built once for all worker processes of a test session."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""Name of this pytest-xdist worker process, `gw0`, `gw1` and so on; empty where there is none."""


def build_once(folders: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """Returns a folder's path after one of the worker processes has built it.

    The folder must not be changed afterwards; a test that has to change it takes a copy.

    Args:
        folders: pytest's fixture `tmp_path_factory`.
        name: the folder's name, which stands for what is built in it.
        build: fills the folder, which is there and empty. Where it fails, the next worker process
            tries again, so that each reports what is wrong.
    """
    # pytest-xdist gives the worker processes folders beside each other.
    shared = folders.getbasetemp().parent if WORKER else folders.getbasetemp()
    folder, stamp = shared / f"shared-{name}", shared / f"shared-{name}.built"
    with (shared / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            stamp.touch()
    return folder
