"""Keeping records that must not stop the work that they are about."""

from collections.abc import Callable
from typing import TypeVar

from badc_core.jobs.values import explain_ending

T = TypeVar("T")


class Unfailing:
    """Calls what writes a record; the first failure is one warning, and nothing is called then.

    Args:
        warn: shows a warning.
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._is_broken = False

    def __call__(self, record: Callable[[], T]) -> T | None:
        """Returns what a call returns; None if it failed, or an earlier one did."""
        if self._is_broken:
            return None
        try:
            return record()
        except Exception as error:  # noqa: BLE001  (a full disk, somebody else's folder, a defect)
            self._is_broken = True
            why = explain_ending(error)
            self._warn(f"The job's files are incomplete, and the work goes on: {why}")
            return None
