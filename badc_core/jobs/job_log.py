"""Logs of a job: what was done and when, a line each, without secrets.

    LOGS/orchestrator_TIME.log   what runs or a pipeline did, from a start to its end
    LOGS/STAGE.log               what a stage did; in a pipeline, what its process printed

`LOG_LEVEL` in the job's settings is the lowest level that is written. If it is not set, or means
something to other programs only, nothing is left out.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.jobs.environment import read_text, variables
from badc_core.jobs.manifest_files import read_job
from badc_core.jobs.values import read_time
from badc_core.secret_values import Secrets

_LEVELS = ("debug", "info", "warning", "error", "critical")
_VARIABLE = "LOG_LEVEL"


class JobLog:
    """Appends lines to a log; several processes may do so.

    Args:
        path: of the log.
        secrets: that must not be in it.
        settings: of the job; they may be gone.
    """

    def __init__(self, path: Path, secrets: Secrets, settings: Path) -> None:
        self.path = path
        self._secrets = secrets
        self._lowest = _read_level(settings)

    def write(self, level: str, message: str) -> None:
        """Adds a line, unless its level is too low.

        Raises:
            StorageFull, OutputUnwritable: it cannot be written.
        """
        if _LEVELS.index(level) < self._lowest:
            return
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = " ".join(self._secrets.mask_text(message).split("\n"))
        with naming_storage_trouble(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{when} {level.upper()} {text}\n")


def open_log(folder: Path, name: str, secrets: Secrets) -> JobLog:
    """Returns a log of a job.

    Args:
        folder: of the job's outputs.
        name: of the stage, or of what `orchestrator_log` gave.
        secrets: that must not be in it.
    """
    job = read_job(folder)
    log_dir = Path(str(job.get("log_dir") or folder))
    return JobLog(log_dir / f"{name}.log", secrets, Path(str(job.get("env_backup"))))


def orchestrator_log(started_at: object) -> str:
    """Returns the name of the log of what began at a moment."""
    return f"orchestrator_{read_time(started_at):%Y%m%dT%H%M%SZ}"


def _read_level(settings: Path) -> int:
    with suppress(OSError, ValueError):
        return _LEVELS.index(variables(read_text(settings)).get(_VARIABLE, "").lower())
    return 0
