"""`badc run`: everything that is due, from new files to the corpus report."""

import logging
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from badc_core.cli.report import print_report
from badc_core.cli.run_bar import ProgressBar, progress_bars
from badc_dagster.cli.notices import print_failures, warn_of_other_home


def run(
    dataset: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    detector: Annotated[str | None, typer.Option(help="Detector, instead of badc.toml's.")] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Weakest score kept, 0 to 1, instead of badc.toml's.")
    ] = None,
    cpu_workers: Annotated[
        int | None, typer.Option(min=0, help="Workers on the CPU; 0: one per core without GPUs.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many recordings; 0: all.")] = 0,
    name: Annotated[str | None, typer.Option(help="What to call the dataset in the UI.")] = None,
) -> None:
    """Scan, then bring every recording and the corpus report up to date."""
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home()
    # Ctrl-C while a connection is being closed: SQLAlchemy would print a traceback of it.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    console = Console()
    overrides = _overrides(
        {
            "detector": {"name": detector, "min_score": min_score},
            "inference": {"cpu_workers": cpu_workers},
        }
    )
    with Project.open(dataset, name, overrides) as project:
        scanned = project.scan()
        console.print(f"{scanned.total} recordings, {len(scanned.added)} new", highlight=False)
        with progress_bars(console, transient=not console.is_terminal) as bars:
            outcome = project.bring_up_to_date(limit, partial(ProgressBar, bars))
    if outcome.nothing_to_do:
        console.print("Nothing to do: every recording is up to date.")
    if outcome.n_busy:
        console.print(f"{outcome.n_busy} recordings left to other runs that are at work on them.")
    for warning in outcome.warnings:
        console.print(warning, style="yellow", soft_wrap=True, highlight=False, markup=False)
    for fault in outcome.faults:
        console.print(fault, style="bold red", soft_wrap=True, highlight=False, markup=False)
    print_failures(outcome.failures, console)
    if project.dataset.corpus.duckdb.exists():
        print_report(project.dataset, None, 20, console)
    incomplete = f"{outcome.n_incomplete} without some chunks, " if outcome.n_incomplete else ""
    console.print(
        f"{outcome.n_finished} of {scanned.total} recordings complete, {incomplete}"
        f"{len(outcome.failures)} failed",
        highlight=False,
    )
    if outcome.failures or outcome.faults:
        raise typer.Exit(1)


def _overrides(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the options that were given."""
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in options.items()
    }
    return {section: values for section, values in given.items() if values}
