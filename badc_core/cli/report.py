"""`badc report`: what was found in a dataset, on screen."""

import shlex
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, RecordingUnknown
from badc_core.recordings.registry import read_registry
from badc_core.units import format_duration

_SPECIES = """
    SELECT label_name, coalesce(any_value(scientific_name), '') AS scientific_name,
        count(*) AS detections, max(confidence) AS best, count(DISTINCT recording_id) AS recordings
    FROM detections WHERE is_detection AND ($1 IS NULL OR recording_id = $1)
    GROUP BY label_name ORDER BY detections DESC, best DESC, label_name
"""
_EFFORT = """
    SELECT coalesce(sum(effort_s), 0), count(DISTINCT recording_id) FROM chunks
    WHERE $1 IS NULL OR recording_id = $1
"""


def report(
    dataset: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    recording: Annotated[
        str | None, typer.Option("--recording", "-r", help="Only this recording_id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown; files are always whole.")] = 20,
) -> None:
    """Show the species found and where the report pages are."""
    opened = Dataset.open(dataset)
    if recording is not None:
        read_registry(opened.registry).require(recording)
    print_report(opened, recording, limit, Console())


def print_report(dataset: Dataset, recording_id: str | None, limit: int, console: Console) -> None:
    """Prints the species table and the path of the page.

    Args:
        dataset: whose corpus.
        recording_id: of one recording; None for all.
        limit: rows shown.
        console: where to.

    Raises:
        DatasetInvalid: there is no corpus yet.
        RecordingUnknown: the recording has no result.
    """
    path, root = dataset.corpus.duckdb, shlex.quote(str(dataset.root))
    if not path.exists():
        raise DatasetInvalid("there is no corpus yet", path, f"Run: badc run {root}")
    with duckdb.connect(str(path), read_only=True) as database:
        rows = database.execute(_SPECIES, [recording_id]).fetchall()
        effort_s, n_recordings = database.execute(_EFFORT, [recording_id]).fetchall()[0]
    if recording_id is not None and not n_recordings:
        raise RecordingUnknown(
            "has no result in the corpus", recording_id, f"Run: badc status {root}"
        )
    console.print(_table(rows[:limit], f"{n_recordings} recordings, {format_duration(effort_s)}"))
    if len(rows) > limit:
        only = f" --recording {shlex.quote(recording_id)}" if recording_id else ""
        hint = f"and {len(rows) - limit} more: badc report {root}{only} --limit {len(rows)}"
        console.print(hint, soft_wrap=True, highlight=False, markup=False)
    page = dataset.bundle(recording_id).html if recording_id else dataset.corpus.html
    console.print(f"Report: {page}", soft_wrap=True, highlight=False, markup=False)


def _table(rows: list[tuple[str, str, int, float, int]], effort: str) -> Table:
    table = Table(title=f"Species in {effort} analysed", title_justify="left")
    table.add_column("Label")
    table.add_column("Scientific name", style="italic")
    table.add_column("Detections", justify="right")
    table.add_column("Best score", justify="right")
    table.add_column("Recordings", justify="right")
    for name, scientific_name, detections, best, recordings in rows:
        table.add_row(name, scientific_name, str(detections), f"{best:.3f}", str(recordings))
    return table
