"""How the tables of a report are shown on screen, and given as JSON.

The commands are in `report_tables.py`.
"""

from collections.abc import Sequence
from typing import Any

from badc_core.cli.output import Output
from badc_core.cli.tables import make_table
from badc_core.corpus.summaries import Summaries, SummaryTable
from badc_core.telemetry.monitor import sparkline
from badc_core.units import counted, format_duration

_LONGEST_SPARKLINE = 60


def show_leaders(out: Output, summaries: Summaries, n_labels: int, n_recordings: int) -> None:
    """Prints the first rows of the tables of labels and of recordings."""
    labels, recordings = summaries.labels, summaries.recordings
    totals = summaries.totals
    found = counted(totals["detections"], "detection")
    title = f"{found} of {counted(totals['label_count'], 'label')}"
    show_table(out, title, labels, n_labels)
    show_table(out, counted(totals["recording_count"], "recording"), recordings, n_recordings)


def show_all(out: Output, summaries: Summaries, n_labels: int, n_recordings: int) -> None:
    """Prints the first rows of labels and recordings, and the timeline."""
    show_leaders(out, summaries, n_labels, n_recordings)
    timeline, minutes = summaries.timeline, summaries.totals["bucket_minutes"]
    named = [(format_duration(start_ms / 1000), *rest) for _, start_ms, *rest in timeline.rows]
    header = ("After", *timeline.header[2:])
    title = f"Buckets of {minutes} minutes since the recordings' starts"
    show_table(out, title, SummaryTable(header, named), len(named))
    show_line(out, "Detections", timeline)


def show_table(out: Output, title: str, table: SummaryTable, n_rows: int) -> None:
    """Prints the first rows of a table, and how many more there are."""
    columns = [name.replace("_", " ").capitalize() for name in table.header]
    rows = [tuple(map(_cell, row)) for row in table.rows[:n_rows]]
    out.show(make_table(title, columns, rows))
    if len(table.rows) > n_rows:
        out.say(f"and {len(table.rows) - n_rows} more")


def show_line(out: Output, title: str, table: SummaryTable) -> None:
    """Prints how many detections there are in each row of a table, as a line of bars."""
    column = table.header.index("detections")
    counts = _squeeze([row[column] for row in table.rows])
    if counts:
        out.say(f"{title}: {sparkline(counts, max(counts))}")


def _squeeze(counts: Sequence[int]) -> list[float]:
    """Returns sums of neighbours, so few that they fit in a line."""
    n_each = -(-len(counts) // _LONGEST_SPARKLINE) or 1
    return [float(sum(counts[n : n + n_each])) for n in range(0, len(counts), n_each)]


def _cell(value: Any) -> str | int | float:
    if value is None:
        return "-"
    return value if isinstance(value, str | int | float) else str(value)


def describe_leaders(summaries: Summaries) -> dict[str, Any]:
    """Returns sums, labels and recordings for JSON."""
    return {
        "totals": summaries.totals,
        "labels": summaries.labels.records(),
        "recordings": summaries.recordings.records(),
    }


def describe_everything(summaries: Summaries) -> dict[str, Any]:
    """Returns sums, labels, recordings and the timeline for JSON."""
    return {**describe_leaders(summaries), "timeline": summaries.timeline.records()}
