"""What every test may use: the real field recordings, and hypothesis without a clock.

Tests may run in several worker processes at once (`pytest -n 2`): each has lease and temporary
folders of its own, and a range of ports. What is expensive and read-only they share, see
`support.built_once`.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import support.lacking
import typer
from hypothesis import settings
from support.lacking import IN_CI

from badc_core.devices.places import usable_cores

_FIELD_AUDIO = Path(__file__).resolve().parents[2] / "shared" / "audio"

# Databases of Dagster, and all that BADC writes, wait for the disk some 100,000 times in a suite.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  (pytest makes a folder of its own there)
if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > 2 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_IN_MEMORY))

# A suite started in the background inherits an ignored SIGINT, and Dagster then ignores SIGTERM
# too: worker processes of tests would never end.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines that run tests are slow and shared, so there is no deadline; in CI a failure must be the
# same failure again. The long soaks run with `--hypothesis-profile thorough`.
settings.register_profile("quick", deadline=None, max_examples=25, derandomize=IN_CI)
settings.register_profile("thorough", deadline=None, derandomize=IN_CI)
settings.load_profile("quick")


def pytest_xdist_auto_num_workers() -> int:
    """Returns the worker processes of `-n auto`: one more than cores, as many tests wait.

    More than four would each load models, for little time won.
    """
    return min(4, usable_cores() + 1)


@pytest.fixture(scope="session")
def app() -> typer.Typer:
    """Returns the application with every installed command."""
    from badc_core.cli.app import build_app  # noqa: PLC0415  (most tests need no command line)

    return build_app()


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory) -> Iterator[None]:
    """Keeps tests apart from what other worker processes lease, and from the user's git."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BADC_LEASE_DIR", str(tmp_path_factory.mktemp("leases")))
        # With the programs of this environment, such as git-annex, as if it were activated.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "A Tester")
            patch.setenv(f"GIT_{who}_EMAIL", "tester@example.org")
        yield


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], NoReturn]:
    """Returns what ends a test that cannot run here: skipped, or failed in CI, which has it all."""

    return support.lacking.lacking


@pytest.fixture(scope="session")
def field_audio(lacking) -> Path:
    """Returns the folder of real recordings that lies beside the repository."""
    if not _FIELD_AUDIO.is_dir():
        lacking(f"real recordings in {_FIELD_AUDIO}")
    return _FIELD_AUDIO
