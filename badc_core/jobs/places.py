"""Where an installation keeps its jobs: `config`, `out` and `logs` in one folder.

The folder is the one that `BADC_JOBS` names, else `jobs` in Dagster's home. Where that home is says
the package for Dagster, by an entry point; without that package, `DAGSTER_HOME` does.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from badc_core.accounts import expand_home, user_name
from badc_core.atomic import naming_storage_trouble
from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute, explain_no_folder, require_name
from badc_core.jobs.environment import BASE, read_secrets
from badc_core.jobs.folders import make_folders
from badc_core.jobs.job_manager import JobManager
from badc_core.secret_values import Secrets

JOBS_VARIABLE = "BADC_JOBS"
_HOME_VARIABLE = "DAGSTER_HOME"
_HOME_GROUP = "badc.homes"
"""Entry points that name a function, which returns the folder of a home."""


@dataclass(frozen=True)
class JobPlaces:
    """The folders of all jobs.

    Attributes:
        root: has the others in it.
    """

    root: Path

    @property
    def config_dir(self) -> Path:
        """The settings that jobs copy, and their copies."""
        return self.root / "config"

    @property
    def output_root(self) -> Path:
        """Below it are the jobs' outputs."""
        return self.root / "out"

    @property
    def log_root(self) -> Path:
        """Below it are the jobs' logs."""
        return self.root / "logs"

    def secrets(self) -> Secrets:
        """Returns the secrets of this process, and of the settings that jobs copy."""
        return read_secrets(self.config_dir / BASE)

    def manager(self) -> JobManager:
        """Returns what creates jobs here; without settings to copy, empty ones are written first.

        Raises:
            StorageFull, OutputUnwritable: they cannot be written.
        """
        settings = self.config_dir / BASE
        for folder in (self.config_dir, self.output_root, self.log_root):
            make_folders(self.root, folder)
        # Somebody may write secrets into it: nobody else than those who share the folder reads it.
        mode = 0o660 & self.root.stat().st_mode
        with naming_storage_trouble(settings), suppress(FileExistsError):
            descriptor = os.open(settings, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.fchmod(descriptor, mode)
            os.close(descriptor)
        return JobManager(self.config_dir, self.output_root, self.log_root)


def job_places(home: Path | None = None) -> JobPlaces:
    """Returns where jobs are kept.

    Args:
        home: Dagster's; None to find it.

    Raises:
        ConfigInvalid: nothing says where, or what is there is no folder.
    """
    given = os.environ.get(JOBS_VARIABLE)
    if given:
        root = absolute(expand_home(given))
        if os.path.lexists(root) and not root.is_dir():
            raise _no_folder(root)
        return JobPlaces(root)
    return JobPlaces(absolute(home or _find_home()) / "jobs")


def kept_jobs() -> JobPlaces:
    """Returns where jobs are kept, to look at them.

    Raises:
        ConfigInvalid: nothing says where, or there is no folder of the name that was given.
    """
    places = job_places()
    if os.environ.get(JOBS_VARIABLE) and not places.root.is_dir():
        raise _no_folder(places.root)
    return places


def job_user() -> str:
    """Returns whose the jobs of this process are: this user's name, or number."""
    try:
        return require_name(user_name())
    except ValueError:  # such as DOMAIN\\user
        return str(os.getuid())


def _no_folder(root: Path) -> ConfigInvalid:
    what = f"{explain_no_folder(root)}, though {JOBS_VARIABLE} names it"
    remedy = f"Correct {JOBS_VARIABLE}; if no job has been created yet, the first one makes it"
    return ConfigInvalid(what, root, remedy)


def _find_home() -> Path:
    for entry in entry_points(group=_HOME_GROUP):
        return Path(entry.load()())
    given = os.environ.get(_HOME_VARIABLE)
    if given:
        return Path(given)
    raise ConfigInvalid(
        "nothing says where jobs are kept", JOBS_VARIABLE, f"Set {JOBS_VARIABLE} to a folder"
    )
