"""Options of the commands that report on Parquet files of detections.

The commands are in `report_tables.py`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from badc_core.errors import OptionInvalid
from badc_core.options import OptionSpec
from badc_core.reports.table_bundle import BundleParts

_LONGEST_BUCKET_MINUTES = 1440
_PLACES = {
    "Quicklook": "--quicklook-dir",
    "Parquet report": "--parquet-report-dir",
    "Database": "--duckdb-database",
    "Exports": "--duckdb-export-dir",
}
"""Which option says where a part of a bundle goes."""

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
            OptionInvalid: the prefix is a path, or two parts have the same place.
        """
        prefix = self.run_prefix or parquet.stem
        if Path(prefix).name != prefix:
            raise OptionInvalid("must be a name; a folder is given by --output-dir", "--run-prefix")
        usual = BundleParts.at((self.output_dir or parquet.parent) / prefix)
        parts = BundleParts(
            (self.quicklook_dir or usual.quicklook) if self.quicklook else None,
            (self.parquet_report_dir or usual.parquet_report) if self.parquet_report else None,
            (self.duckdb_database or usual.database) if self.duckdb_report else None,
            (self.duckdb_export_dir or usual.exports) if self.duckdb_report else None,
        )
        _require_different(parts)
        return parts


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


def _require_different(parts: BundleParts) -> None:
    """Raises OptionInvalid where parts would overwrite each other, as names of tables are equal."""
    seen: dict[str, str] = {}
    for name, path in parts.named().items():
        other = seen.setdefault(os.path.realpath(path), name)
        if other != name:
            both = f"{other} and {name} would be in the same place, {path}"
            raise OptionInvalid(both, _PLACES[name])
