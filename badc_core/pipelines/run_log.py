"""The log of an orchestrator: what it did and when, for people who look now or later."""

from collections.abc import Callable
from pathlib import Path

from badc_core.jobs.job_log import JobLog, orchestrator_log
from badc_core.jobs.values import now_text
from badc_core.secret_values import Secrets

Show = Callable[[str], None]


class RunLog:
    """Adds lines to `orchestrator_TIME.log` of a job; progress is shown as well.

    Args:
        folder: of the job's logs.
        secrets: that must not be in it.
        settings: of the job.
        tell: show how far it is, and what may be wrong.
    """

    def __init__(
        self, folder: Path, secrets: Secrets, settings: Path, tell: tuple[Show, Show]
    ) -> None:
        self._log = JobLog(folder / f"{orchestrator_log(now_text())}.log", secrets, settings)
        self._secrets = secrets
        self._show, self._warn = tell

    def progress(self, message: str) -> None:
        """Notes and shows how far the pipeline is."""
        self._log.write("info", message)
        self._show(self._secrets.mask_text(message))

    def info(self, message: str) -> None:
        """Notes what is as expected."""
        self._log.write("info", message)

    def warning(self, message: str) -> None:
        """Notes and shows what may be wrong."""
        self._log.write("warning", message)
        self._warn(self._secrets.mask_text(message))

    def error(self, message: str) -> None:
        """Notes a failure."""
        self._log.write("error", message)
