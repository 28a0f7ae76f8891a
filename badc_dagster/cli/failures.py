"""How failed recordings are shown on screen: one line each."""

from collections.abc import Iterable

from rich.console import Console

from badc_core.recordings.failures import StandingFailure


def print_failures(failures: Iterable[StandingFailure], console: Console) -> None:
    """Prints what failed and why."""
    for failure in failures:
        line = f"failed  {failure.recording_id}  {failure.error}"
        console.print(line, style="red", soft_wrap=True, highlight=False, markup=False)
