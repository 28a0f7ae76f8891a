"""What several commands say: which home they use, which recordings failed."""

from collections.abc import Iterable

from rich.console import Console

from badc_core.recordings.failures import StandingFailure
from badc_dagster.home import explain_other_home


def warn_of_other_home() -> None:
    """Warns on standard error where `dagster`, started here, would use another Dagster home."""
    warning = explain_other_home()
    if warning:
        Console(stderr=True).print(
            f"Warning: {warning}", style="yellow", soft_wrap=True, highlight=False, markup=False
        )


def print_failures(failures: Iterable[StandingFailure], console: Console) -> None:
    """Prints what failed and why, a line each."""
    for failure in failures:
        line = f"failed  {failure.recording_id}  {failure.error}"
        console.print(line, style="red", soft_wrap=True, highlight=False, markup=False)
