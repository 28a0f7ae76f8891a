"""`badc report summary`, `quicklook`, `parquet`, `duckdb`, `bundle`, `aggregate-dir`.

They report on Parquet files of detections; `badc report DATASET` is in `report.py`. Limits are for
the screen: files are always whole. The work is done in `reports/aggregates.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from badc_core.atomic import replacing
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.setting_options import OptionInvalid
from badc_core.cli.tables import make_table
from badc_core.cli.wording import counted
from badc_core.errors import ConfigInvalid
from badc_core.options import OptionSpec
from badc_core.reports.aggregates import (
    DEFAULT_BUCKET_MINUTES,
    GROUPS,
    BundleParts,
    find_parquets,
    find_repeated,
    open_aggregates,
    summarize,
    write_bundle_of,
    write_database,
)
from badc_core.reports.summaries import (
    Summaries,
    SummaryTable,
    write_parquet_report,
    write_quicklook,
    write_rollup,
)
from badc_core.telemetry.monitor import sparkline
from badc_core.units import format_duration

_LONGEST_SPARKLINE = 60
_LONGEST_BUCKET_MINUTES = 1440

Parquet = Annotated[
    Path, typer.Option("--parquet", help="Detections, as badc run or badc infer aggregate wrote.")
]
BucketMinutes = Annotated[
    int,
    typer.Option(
        "--bucket-minutes", min=1, max=_LONGEST_BUCKET_MINUTES, help="Width of a timeline bucket."
    ),
]
TopLabels = Annotated[int, typer.Option("--top-labels", min=1, help="Labels shown.")]
TopRecordings = Annotated[int, typer.Option("--top-recordings", min=1, help="Recordings shown.")]


@dataclass(frozen=True)
class BundleOptions:
    """What a bundle is made of, and where its parts go."""

    output_dir: Annotated[
        Path | None, OptionSpec("Folder of the bundle.", "the folder of the Parquet file")
    ] = None
    run_prefix: Annotated[
        str | None,
        OptionSpec("How names of the bundle begin.", "the name of the Parquet file"),
    ] = None
    quicklook: Annotated[bool, OptionSpec("Write PREFIX_quicklook/.")] = True
    parquet_report: Annotated[bool, OptionSpec("Write PREFIX_parquet_report/.")] = True
    duckdb_report: Annotated[
        bool, OptionSpec("Write PREFIX.duckdb and PREFIX_duckdb_exports/.")
    ] = True
    quicklook_dir: Annotated[Path | None, OptionSpec("In place of PREFIX_quicklook.")] = None
    parquet_report_dir: Annotated[Path | None, OptionSpec("In place of PREFIX_parquet_report.")] = (
        None
    )
    duckdb_database: Annotated[Path | None, OptionSpec("In place of PREFIX.duckdb.")] = None
    duckdb_export_dir: Annotated[Path | None, OptionSpec("In place of PREFIX_duckdb_exports.")] = (
        None
    )

    def parts(self, parquet: Path) -> BundleParts:
        """Returns where the parts of a file's bundle go.

        Raises:
            OptionInvalid: the prefix is a path.
        """
        prefix = self.run_prefix or parquet.stem
        if Path(prefix).name != prefix:
            raise OptionInvalid("must be a name; a folder is given by --output-dir", "--run-prefix")
        usual = BundleParts.at((self.output_dir or parquet.parent) / prefix)
        return BundleParts(
            (self.quicklook_dir or usual.quicklook) if self.quicklook else None,
            (self.parquet_report_dir or usual.parquet_report) if self.parquet_report else None,
            (self.duckdb_database or usual.database) if self.duckdb_report else None,
            (self.duckdb_export_dir or usual.exports) if self.duckdb_report else None,
        )


@dataclass(frozen=True)
class DatabaseOptions:
    """Where a database and its tables go."""

    database: Annotated[Path | None, OptionSpec("The DuckDB file.", "beside the Parquet file")] = (
        None
    )
    export_dir: Annotated[Path | None, OptionSpec("Folder for the views as CSV.")] = None


@dataclass(frozen=True)
class ShownRows:
    """How many rows of each table of a bundle are shown."""

    quicklook_top_labels: Annotated[int, OptionSpec("Labels shown.", least=1)] = 10
    quicklook_top_recordings: Annotated[int, OptionSpec("Recordings shown.", least=1)] = 5
    parquet_top_labels: Annotated[int, OptionSpec("Labels shown.", least=1)] = 20
    parquet_top_recordings: Annotated[int, OptionSpec("Recordings shown.", least=1)] = 10
    duckdb_top_labels: Annotated[int, OptionSpec("Labels shown.", least=1)] = 15
    duckdb_top_recordings: Annotated[int, OptionSpec("Recordings shown.", least=1)] = 10

    def most(self, parts: BundleParts) -> tuple[int, int]:
        """Returns how many labels and recordings are shown: the most of the parts written."""
        wanted = [
            (part, labels, recordings)
            for part, labels, recordings in (
                (parts.quicklook, self.quicklook_top_labels, self.quicklook_top_recordings),
                (parts.parquet_report, self.parquet_top_labels, self.parquet_top_recordings),
                (parts.database, self.duckdb_top_labels, self.duckdb_top_recordings),
            )
            if part is not None
        ]
        return max(one[1] for one in wanted), max(one[2] for one in wanted)


@taking_options
def summary(
    parquet: Parquet,
    out: Output,
    group_by: Annotated[
        str,
        typer.Option(help=f"What to count by, one or several with commas: {', '.join(GROUPS)}."),
    ] = "label",
    output: Annotated[Path | None, typer.Option(help="The whole table as CSV.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown.")] = 20,
) -> None:
    """Count detections by label, recording, station or local time."""
    with open_aggregates([parquet]) as connection, _blaming_options():
        groups = [one.strip() for one in group_by.split(",") if one.strip()]
        found = summarize(connection, groups)
    _show(out, "Detections by " + ", ".join(groups), found, limit)
    if output is not None:
        _write_csv(found, output)
        out.say(f"Table: {output}")
    out.give({"groups": found.records(), "output": output})


@taking_options
def quicklook(
    parquet: Parquet,
    out: Output,
    top_labels: TopLabels = 10,
    top_recordings: TopRecordings = 5,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for labels.csv, recordings.csv and chunks.csv.")
    ] = None,
) -> None:
    """Show the most frequent labels, the busiest recordings, and detections chunk by chunk."""
    with open_aggregates([parquet]) as connection:
        summaries = Summaries(connection)
        _show_leaders(out, summaries, top_labels, top_recordings)
        chunks = summaries.chunks
        _show_line(out, counted(len(chunks.rows), "chunk") + " with detections", chunks)
        if output_dir is not None:
            write_quicklook(summaries, output_dir)
            out.say(f"Tables: {output_dir}")
        out.give({**_leaders(summaries), "chunks": chunks.records(), "output_dir": output_dir})


@taking_options
def parquet_report(
    parquet: Parquet,
    out: Output,
    top_labels: TopLabels = 20,
    top_recordings: TopRecordings = 10,
    bucket_minutes: BucketMinutes = DEFAULT_BUCKET_MINUTES,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for three CSV tables and summary.json.")
    ] = None,
) -> None:
    """Show labels, recordings and a timeline of buckets."""
    with open_aggregates([parquet], bucket_minutes) as connection:
        summaries = Summaries(connection)
        _show_all(out, summaries, top_labels, top_recordings)
        if output_dir is not None:
            write_parquet_report(summaries, output_dir)
            out.say(f"Tables: {output_dir}")
        out.give({**_everything(summaries), "output_dir": output_dir})


@taking_options
def duckdb_report(
    parquet: Parquet,
    places: DatabaseOptions,
    out: Output,
    top_labels: TopLabels = 15,
    top_recordings: TopRecordings = 10,
    bucket_minutes: BucketMinutes = DEFAULT_BUCKET_MINUTES,
) -> None:
    """Write a DuckDB file with the detections and views that sum them up."""
    path, export_dir = places.database or parquet.with_suffix(".duckdb"), places.export_dir
    write_database(parquet, path, bucket_minutes, export_dir)
    with open_aggregates([parquet], bucket_minutes) as connection:
        summaries = Summaries(connection)
        _show_all(out, summaries, top_labels, top_recordings)
        out.say(f"Database: {path}", *([f"Tables: {export_dir}"] if export_dir else []))
        out.give({**_everything(summaries), "database": path, "export_dir": export_dir})


@taking_options
def bundle(
    parquet: Parquet,
    options: BundleOptions,
    rows: ShownRows,
    out: Output,
    bucket_minutes: BucketMinutes = DEFAULT_BUCKET_MINUTES,
) -> None:
    """Write quicklook, parquet report, DuckDB file and its exports at once."""
    parts = options.parts(parquet)
    if parts == BundleParts(None, None, None, None):
        raise OptionInvalid("leave out at most two of the three parts", "--no-duckdb-report")
    write_bundle_of(parquet, parts, bucket_minutes)
    with open_aggregates([parquet], bucket_minutes) as connection:
        summaries = Summaries(connection)
        _show_all(out, summaries, *rows.most(parts))
        out.say(*(f"{name}: {path}" for name, path in _written(parts).items()))
        out.give({**_everything(summaries), "files": _written(parts)})


@taking_options
def aggregate_dir(
    out: Output,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Holds Parquet files of detections.")
    ] = Path("artifacts/aggregate"),
    limit: Annotated[int, typer.Option(min=1, help="Rows shown of each table.")] = 10,
    export_dir: Annotated[
        Path | None, typer.Option(help="Folder for label_summary.csv and recording_summary.csv.")
    ] = None,
) -> None:
    """Show labels and recordings over all Parquet files in a folder."""
    out.give(roll_up(folder, limit, export_dir, out))


def roll_up(folder: Path, limit: int, export_dir: Path | None, out: Output) -> dict[str, Any]:
    """Shows labels and recordings over a folder's Parquet files; returns all of it for JSON.

    Args:
        folder: holds them.
        limit: rows shown of each table.
        export_dir: folder for the whole tables; None for none.
        out: where to.
    """
    paths = find_parquets(folder)
    repeated = find_repeated(paths)
    with open_aggregates(paths) as connection:
        summaries = Summaries(connection)
        _show_leaders(out, summaries, limit, limit)
        out.say(f"{counted(len(paths), 'file')} in {folder}")
        if export_dir is not None:
            write_rollup(connection, export_dir)
            out.say(f"Tables: {export_dir}")
        found = {**_leaders(summaries), "files": paths, "export_dir": export_dir}
    _warn_of_repeated(repeated, out)
    return found


def _warn_of_repeated(repeated: Sequence[tuple[str, list[str]]], out: Output) -> None:
    if repeated:
        name, files = repeated[0]
        recordings = counted(len(repeated), "recording")
        out.warn(
            f"{recordings} in several files, and counted in each, such as {name} in "
            f"{' and '.join(files)}. Move all but one away."
        )


@contextmanager
def _blaming_options() -> Iterator[None]:
    """Turns an error about the value of an option into one of the command line."""
    try:
        yield
    except ConfigInvalid as error:
        raise OptionInvalid(error.what, error.where, error.remedy) from error


def _write_csv(table: SummaryTable, path: Path) -> None:
    with replacing(path) as aside:
        table.write(aside)


def _show_leaders(out: Output, summaries: Summaries, n_labels: int, n_recordings: int) -> None:
    labels, recordings = summaries.labels, summaries.recordings
    totals = summaries.totals
    found = counted(totals["detections"], "detection")
    title = f"{found} of {counted(totals['label_count'], 'label')}"
    _show(out, title, labels, n_labels)
    _show(out, counted(totals["recording_count"], "recording"), recordings, n_recordings)


def _show_all(out: Output, summaries: Summaries, n_labels: int, n_recordings: int) -> None:
    _show_leaders(out, summaries, n_labels, n_recordings)
    timeline, minutes = summaries.timeline, summaries.totals["bucket_minutes"]
    named = [(format_duration(start_ms / 1000), *rest) for _, start_ms, *rest in timeline.rows]
    header = ("After", *timeline.header[2:])
    title = f"Buckets of {minutes} minutes since the recordings' starts"
    _show(out, title, SummaryTable(header, named), len(named))
    _show_line(out, "Detections", timeline)


def _show(out: Output, title: str, table: SummaryTable, n_rows: int) -> None:
    columns = [name.replace("_", " ").capitalize() for name in table.header]
    rows = [tuple(map(_cell, row)) for row in table.rows[:n_rows]]
    out.show(make_table(title, columns, rows))
    if len(table.rows) > n_rows:
        out.say(f"and {len(table.rows) - n_rows} more")


def _show_line(out: Output, title: str, table: SummaryTable) -> None:
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


def _leaders(summaries: Summaries) -> dict[str, Any]:
    return {
        "totals": summaries.totals,
        "labels": summaries.labels.records(),
        "recordings": summaries.recordings.records(),
    }


def _everything(summaries: Summaries) -> dict[str, Any]:
    return {**_leaders(summaries), "timeline": summaries.timeline.records()}


def _written(parts: BundleParts) -> dict[str, Path]:
    named: Iterable[tuple[str, Path | None]] = (
        ("Quicklook", parts.quicklook),
        ("Parquet report", parts.parquet_report),
        ("Database", parts.database),
        ("Exports", parts.exports),
    )
    return {name: path for name, path in named if path is not None}
