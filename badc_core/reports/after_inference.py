"""What `badc infer orchestrate --bundle` does after inference: tables and bundles.

Each recording's files become one table and a bundle; all tables of the folder become the rollup.
`badc run` needs none of this: its assets write bundles of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from badc_core.detections.store import FINGERPRINT_KEY, read_metadata
from badc_core.errors import DetectionsInvalid, OutputUnwritable
from badc_core.inference.aggregation import AggregationRequest, aggregate_chunks
from badc_core.inference.orchestrate import InferEntry
from badc_core.outcomes import Outcome, attempt
from badc_core.reports.aggregates import BundleParts, write_bundle_of

ROLLUP_FOLDER = "aggregate_summary"


@dataclass(frozen=True)
class HandBundles:
    """Where bundles go.

    Attributes:
        root: of the dataset.
        folder: for tables and bundles, absolute.
        bucket_minutes: width of a bucket of their timelines.
    """

    root: Path
    folder: Path
    bucket_minutes: int

    def table(self, recording_id: str) -> Path:
        """Returns where a recording's table is."""
        return self.folder / f"{recording_id}.parquet"

    def write(self, entries: list[InferEntry]) -> Iterator[Outcome[Path]]:
        """Yields the table of every recording after writing it and its bundle."""
        by_id = {one.recording_id: one for one in entries}
        for one in by_id:
            yield attempt(one, lambda name: self._write(by_id[name]))

    def _write(self, entry: InferEntry) -> Path:
        name = entry.recording_id
        table = self.table(name)
        _require_handmade(table)
        aggregate_chunks(
            AggregationRequest(
                folder=entry.order.output.recording(name),
                output=self.folder / f"{name}_summary.csv",
                parquet=table,
                manifest=entry.manifest,
                root=self.root,
            )
        )
        write_bundle_of(table, BundleParts.at(self.folder / name), self.bucket_minutes)
        return table


def _require_handmade(table: Path) -> None:
    """Raises OutputUnwritable where a table of `badc run` would be replaced."""
    if _is_of_an_asset(table):
        raise OutputUnwritable(
            "badc run wrote this, and its bundle",
            table,
            "Give another --bundle-aggregate-dir, or use what is there: badc report DATASET",
        )


def _is_of_an_asset(table: Path) -> bool:
    try:
        return FINGERPRINT_KEY in read_metadata(table)
    except DetectionsInvalid:
        return False
