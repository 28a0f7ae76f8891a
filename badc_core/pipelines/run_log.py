"""The log of an orchestrator: what it did and when, for people who look now or later."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.secret_values import Secrets

Show = Callable[[str], None]


class RunLog:
    """Appends lines to `orchestrator_TIME.log` in a folder of logs; progress is shown as well.

    Args:
        folder: of the job's logs.
        secrets: that must not be in it.
        show: is given how far it is.
        warn: is given what may be wrong.
    """

    def __init__(self, folder: Path, secrets: Secrets, show: Show, warn: Show) -> None:
        self.path = folder / f"orchestrator_{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
        self._secrets = secrets
        self._show = show
        self._warn = warn

    def progress(self, message: str) -> None:
        """Notes and shows how far the pipeline is."""
        self._write("INFO", message)
        self._show(self._secrets.mask_text(message))

    def info(self, message: str) -> None:
        """Notes what is as expected."""
        self._write("INFO", message)

    def warning(self, message: str) -> None:
        """Notes and shows what may be wrong."""
        self._write("WARNING", message)
        self._warn(self._secrets.mask_text(message))

    def error(self, message: str) -> None:
        """Notes a failure."""
        self._write("ERROR", message)

    def _write(self, level: str, message: str) -> None:
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = " ".join(self._secrets.mask_text(message).split("\n"))
        with naming_storage_trouble(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{when} {level} {text}\n")
