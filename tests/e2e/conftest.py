"""Datasets of real recordings, and the installed `badc` command run as a user runs it."""

import ctypes
import os
import subprocess
from collections.abc import Callable

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
