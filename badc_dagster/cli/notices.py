"""What several commands tell: which home they use, which recordings failed."""

from collections.abc import Iterable

from rich.console import Console

from badc_core.recordings.failures import StandingFailure
from badc_dagster.home import foreign_home


def tell_home() -> None:
    """Says on standard error which Dagster home is used, where it is not the project's own."""
    home = foreign_home()
    if home is not None:
        line = f"Using the Dagster home {home}, as DAGSTER_HOME says; `make dev` shows another."
        Console(stderr=True).print(line, style="dim", soft_wrap=True, highlight=False)


def print_failures(failures: Iterable[StandingFailure], console: Console) -> None:
    """Prints what failed and why, a line each."""
    for failure in failures:
        line = f"failed  {failure.recording_id}  {failure.error}"
        console.print(line, style="red", soft_wrap=True, highlight=False, markup=False)
