"""Telemetry logs, read back."""

from pathlib import Path
from typing import Any

from badc_core.telemetry.log import Tail


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a log that is there, without lines that a crash damaged."""
    assert path.is_file(), path
    return list(Tail(path).read())
