"""`badc report summary`, `quicklook`, `parquet`, `duckdb`, `bundle`, `aggregate-dir`.

They report on Parquet files of detections; `badc report DATASET` is in `report.py`. Limits are for
the screen: files are always whole. The work is done in `reports/aggregates.py` and
`reports/table_bundle.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from badc_core.atomic import replacing
from badc_core.cli.dataset_argument import DatasetIfGiven
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.report_options import (
    BucketMinutes,
    BundleOptions,
    DatabaseOptions,
    Parquet,
    ShownRows,
    TopLabels,
    TopRecordings,
)
from badc_core.cli.shown_summaries import (
    describe_everything,
    describe_leaders,
    show_all,
    show_leaders,
    show_line,
    show_table,
)
from badc_core.corpus.reading import open_corpus
from badc_core.corpus.summaries import (
    Summaries,
    SummaryTable,
    adding_to_folder,
    write_parquet_report,
    write_quicklook,
    write_rollup,
)
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid
from badc_core.reports.aggregates import (
    DEFAULT_BUCKET_MINUTES,
    GROUPS,
    count_stub,
    find_parquets,
    open_aggregates,
    require_groups,
    summarize,
)
from badc_core.reports.dataset_groups import count_stub_recordings, summarize_dataset
from badc_core.reports.table_bundle import BundleParts, write_bundle_of, write_database
from badc_core.units import counted


@taking_options
def summary(
    out: Output,
    dataset: DatasetIfGiven = None,
    parquet: Annotated[
        Path | None, typer.Option(help="Detections in a file, in place of a dataset.")
    ] = None,
    group_by: Annotated[
        str,
        typer.Option(help=f"What to count by, one or several with commas: {', '.join(GROUPS)}."),
    ] = "label",
    output: Annotated[Path | None, typer.Option(help="The whole table as CSV.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown.")] = 20,
) -> None:
    """Count detections by label, recording, station or local time.

    Of a dataset, also how long was listened, and detections per hour.
    """
    groups = [one.strip() for one in group_by.split(",") if one.strip()]
    require_groups(groups)
    if dataset is None and parquet is None:
        raise OptionInvalid("name a dataset, or a file with --parquet", "DATASET")
    if dataset is not None and parquet is not None:
        raise OptionInvalid("cannot be given together with a dataset", "--parquet")
    n_stub = 0
    if parquet is not None:
        with open_aggregates([parquet]) as connection:
            found = summarize(connection, groups)
    elif dataset is not None:
        with open_corpus(Dataset.open(dataset)) as connection:
            found = summarize_dataset(connection, groups)
            n_stub = count_stub_recordings(connection)
    show_table(out, "Detections by " + ", ".join(groups), found, limit)
    if parquet is not None:
        _warn_of_stub([parquet], out)
    elif n_stub:
        out.warn(f"no model ran on {counted(n_stub, 'recording')}, but the stub runner.")
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
        show_leaders(out, summaries, top_labels, top_recordings)
        chunks = summaries.chunks
        show_line(out, counted(len(chunks.rows), "chunk") + " with detections", chunks)
        if output_dir is not None:
            with adding_to_folder(output_dir) as folder:
                write_quicklook(summaries, folder)
            out.say(f"Tables: {output_dir}")
        found = {**describe_leaders(summaries), "chunks": chunks.records()}
    _warn_of_stub([parquet], out)
    out.give({**found, "output_dir": output_dir})


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
        show_all(out, summaries, top_labels, top_recordings)
        if output_dir is not None:
            with adding_to_folder(output_dir) as folder:
                write_parquet_report(summaries, folder)
            out.say(f"Tables: {output_dir}")
        found = describe_everything(summaries)
    _warn_of_stub([parquet], out)
    out.give({**found, "output_dir": output_dir})


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
        show_all(out, summaries, top_labels, top_recordings)
        out.say(f"Database: {path}", *([f"Tables: {export_dir}"] if export_dir else []))
        found = describe_everything(summaries)
    _warn_of_stub([parquet], out)
    out.give({**found, "database": path, "export_dir": export_dir})


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
        show_all(out, summaries, *rows.most(parts))
        out.say(*(f"{name}: {path}" for name, path in parts.named().items()))
        found = describe_everything(summaries)
    _warn_of_stub([parquet], out)
    out.give({**found, "files": parts.named()})


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
    with open_aggregates(paths) as connection:
        summaries = Summaries(connection)
        show_leaders(out, summaries, limit, limit)
        out.say(f"{counted(len(paths), 'file')} in {folder}")
        if export_dir is not None:
            with adding_to_folder(export_dir) as aside:
                write_rollup(connection, aside)
            out.say(f"Tables: {export_dir}")
        found = {**describe_leaders(summaries), "files": paths, "export_dir": export_dir}
    _warn_of_stub(paths, out)
    return found


def _warn_of_stub(paths: Sequence[Path], out: Output) -> None:
    n_stub = count_stub(paths)
    if n_stub:
        files = "this file" if len(paths) == 1 else counted(n_stub, "file")
        out.warn(f"no model ran for {files}, but the stub runner.")


def _write_csv(table: SummaryTable, path: Path) -> None:
    with replacing(path) as aside:
        table.write(aside)
