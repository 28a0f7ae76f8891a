"""`badc run`: everything that is due, from new files to the corpus report."""

import logging
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from badc_core.cli.report import print_report
from badc_core.units import format_duration
from badc_dagster.cli.notices import print_failures, tell_home


class _Amount(ProgressColumn):
    """How much is done of how much: recordings, or audio and how fast it goes."""

    def render(self, task: Task) -> Text:
        total = task.total or 0.0
        if not task.fields["is_audio"]:
            return Text(f"{task.completed:.0f} of {total:.0f} recordings")
        speed = f"  {task.speed:.0f}x real time" if task.speed else ""
        return Text(f"{format_duration(task.completed)} of {format_duration(total)}{speed}")


class _Bar:
    """A watcher that moves a progress bar: by audio where a detector runs, else by recordings."""

    def __init__(
        self, bars: Progress, stage: str, n_recordings: int, audio_s: float | None
    ) -> None:
        self._bars = bars
        self._is_audio = audio_s is not None
        total = n_recordings if audio_s is None else audio_s
        self._task = bars.add_task(stage, total=total, is_audio=self._is_audio)

    def analysed(self, audio_s: float) -> None:
        """Moves an audio bar."""
        if self._is_audio:
            self._bars.advance(self._task, audio_s)

    def ended(self) -> None:
        """Moves a bar of recordings."""
        if not self._is_audio:
            self._bars.advance(self._task)


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

    tell_home()
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
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeRemainingColumn(),
            console=console,
            transient=not console.is_terminal,
        ) as bars:
            outcome = project.bring_up_to_date(limit, partial(_Bar, bars))
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
