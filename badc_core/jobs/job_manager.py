"""Creating a job: its id, its folders, and the configuration that its stages read."""

import socket
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from badc_core.accounts import user_name
from badc_core.errors import ConfigInvalid
from badc_core.jobs.environment import (
    BACKUP,
    BASE,
    masked,
    read_text,
    remove_configuration,
    with_values,
    write_private,
)
from badc_core.jobs.folders import make_job_folder
from badc_core.jobs.ids import claim_job_id
from badc_core.jobs.manifest_files import JOB_INFO
from badc_core.jobs.values import SCHEMA_VERSION, checked_name, now_text, write_json


class JobManager:
    """Creates jobs, one after the other; the getters are about the last one.

    Args:
        config_dir: has the configuration that jobs copy, and their copies.
        output_root: below it are the jobs' outputs.
        log_root: below it are the jobs' logs.
    """

    def __init__(
        self,
        config_dir: Path | None = None,
        output_root: Path | None = None,
        log_root: Path | None = None,
    ) -> None:
        self.config_dir = Path(config_dir or "config")
        self.output_root = Path(output_root or "out")
        self.log_root = Path(log_root or "logs")
        self._job: dict[str, Any] = {}

    def generate_job_id(self) -> str:
        """Returns today's next job id, which nobody gets again; today is this machine's date.

        Raises:
            StorageFull, OutputUnwritable: the id cannot be claimed.
        """
        today = datetime.now().astimezone().date()
        return claim_job_id(today, self.output_root, self.log_root, self.config_dir)

    def create_job(
        self, user_id: int | str = 1, base_env_file: Path | None = None
    ) -> dict[str, Any]:
        """Creates a job and returns what `job_info.json` says of it.

        Args:
            user_id: a number or a name, which names a folder.
            base_env_file: the configuration to copy; None for `.env` in the configuration folder.

        Raises:
            FileNotFoundError: there is no such configuration; nothing was created.
            ConfigInvalid: the user cannot name a folder, or the configuration cannot be read.
            StorageFull, OutputUnwritable: something cannot be written.
        """
        user = _user_id(user_id)
        base = Path(base_env_file or self.config_dir / BASE)
        configuration = _read_base(base)
        job_id = self.generate_job_id()
        day = datetime.strptime(job_id.partition("-")[0], "%Y%m%d").date()
        output_dir = make_job_folder(self.output_root, day, str(user), job_id)
        log_dir = make_job_folder(self.log_root, day, str(user), job_id)
        job = {
            "schema": SCHEMA_VERSION,
            "job_id": job_id,
            "user_id": user,
            "created_at": now_text(),
            "output_dir": str(output_dir),
            "log_dir": str(log_dir),
            "env_file": str(self.config_dir / f".env.job_{job_id}"),
            "env_backup": str(output_dir / BACKUP),
            "created_by": {"account": user_name(), "host": socket.gethostname()},
            "badc_version": version("badc"),
        }
        self._write(job, configuration)
        self._job = job
        return dict(job)

    def get_job_output_dir(self) -> Path:
        """Returns the folder of the job's outputs."""
        return self._path("output_dir")

    def get_job_log_dir(self) -> Path:
        """Returns the folder of the job's logs."""
        return self._path("log_dir")

    def get_job_env_path(self) -> Path:
        """Returns the configuration that the job's stages read, until it is cleaned up."""
        return self._path("env_file")

    def cleanup_job_env(self) -> None:
        """Removes the configuration of the job, secrets and all; its backup says the rest.

        What was changed in it since the job was created is written to the backup before.

        Raises:
            StorageFull, OutputUnwritable: the backup cannot be written; nothing is removed then.
        """
        remove_configuration(self._path("env_file"), self._path("env_backup"))

    def _write(self, job: dict[str, Any], configuration: str) -> None:
        """Writes the files of a new job; if that fails, no secrets are left behind."""
        env_file, backup = Path(job["env_file"]), Path(job["env_backup"])
        own = {
            "JOB_ID": job["job_id"],
            "USER_ID": str(job["user_id"]),
            "OUTPUT_ROOT": str(Path(job["output_dir"]).absolute()),
            "LOG_ROOT": str(Path(job["log_dir"]).absolute()),
        }
        text = with_values(configuration, own)
        try:
            write_private(backup, masked(text))
            write_private(env_file, text)
            write_json(backup.with_name(JOB_INFO), job)
        except BaseException:
            env_file.unlink(missing_ok=True)
            raise

    def _path(self, field: str) -> Path:
        if not self._job:
            raise ConfigInvalid("no job has been created yet", field, "Call create_job first")
        return Path(self._job[field])


def _read_base(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigInvalid(
            f"cannot be read ({error.strerror})", path, "Make it a file that you may read"
        ) from error


def _user_id(given: int | str) -> int | str:
    """Returns a user as a number if they are one, else as the name of a folder.

    Raises:
        ConfigInvalid: it cannot name a folder.
    """
    text = checked_name(given, "user")
    return int(text) if text.isascii() and text.isdigit() and str(int(text)) == text else text
