"""What `badc infer orchestrate --bundle` does after inference: tables and bundles.

Each recording's files become one table and a bundle; all tables of the folder become the rollup.
`badc run` needs none of this: its assets write bundles of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import FINGERPRINT_KEY, read_metadata
from badc_core.errors import DetectionsInvalid, OutputUnwritable
from badc_core.inference.aggregation import AggregationRequest, aggregate_chunks
from badc_core.inference.orchestrate import InferEntry
from badc_core.outcomes import Outcome, attempt
from badc_core.provenance.commits import IN_A_BATCH
from badc_core.provenance.datalad import below, quote_pattern
from badc_core.provenance.records import RunRecord
from badc_core.reports.table_bundle import BundleParts, write_bundle_of
from badc_core.settings import Settings

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

    def files(self, recording_id: str) -> list[Path]:
        """Returns the files and folders that `write` writes for a recording."""
        parts = BundleParts.at(self.folder / recording_id).named()
        return [self._csv(recording_id), self.table(recording_id), *parts.values()]

    def records(self, entries: Sequence[InferEntry]) -> Iterator[RunRecord]:
        """Yields how tables and bundles came about, some recordings at a time."""
        for at in range(0, len(entries), IN_A_BATCH):
            yield self._record(entries[at : at + IN_A_BATCH])

    def rollup_record(self, folder: Path) -> RunRecord:
        """Returns how the sum of all tables came about.

        Args:
            folder: where it is.
        """
        words = ["badc", "report", "aggregate-dir", "--export-dir", below(self.root, folder)]
        tables = quote_pattern(below(self.root, self.folder)) + "/*.parquet"
        return RunRecord(
            message=f"Sum up the tables in {below(self.root, self.folder)}",
            commands=([*words, "--", below(self.root, self.folder)],),
            input_patterns=(tables,) if self.folder.is_relative_to(self.root) else (),
            outputs=tuple(self._inside([folder])),
        )

    def _record(self, entries: Sequence[InferEntry]) -> RunRecord:
        first, *others = [one.recording_id for one in entries]
        dataset = Dataset(self.root, Settings())
        described = [dataset.recording(one.recording_id) for one in entries]
        read = [one for one in described if one.exists()]
        read += [path for one in entries for path in (one.manifest, _results(one))]
        written = [path for one in entries for path in self.files(one.recording_id)]
        return RunRecord(
            message=f"Tables and bundles of {first}" + (f" to {others[-1]}" if others else ""),
            commands=tuple(words for one in entries for words in self._commands(one)),
            inputs=tuple(self._inside(read)),
            outputs=tuple(self._inside(written)),
        )

    def _commands(self, entry: InferEntry) -> Iterator[list[str]]:
        table, root = below(self.root, self.table(entry.recording_id)), self.root
        words = ["badc", "infer", "aggregate", "--dataset-root", ".", "--parquet", table]
        words += ["--output", below(root, self._csv(entry.recording_id))]
        words += ["--manifest", below(root, entry.manifest), "--", below(root, _results(entry))]
        yield words
        buckets = ["--bucket-minutes", str(self.bucket_minutes)]
        yield ["badc", "report", "bundle", "--parquet", table, *buckets]

    def _csv(self, recording_id: str) -> Path:
        return self.folder / f"{recording_id}_summary.csv"

    def _inside(self, paths: Sequence[Path]) -> Iterator[str]:
        """Yields the paths that are in the dataset, relative to its root."""
        return (below(self.root, one) for one in paths if one.is_relative_to(self.root))

    def write(self, entries: Sequence[InferEntry]) -> Iterator[Outcome[Path]]:
        """Yields the table of every recording after writing it and its bundle."""
        by_id = {one.recording_id: one for one in entries}
        for one in by_id:
            yield attempt(one, lambda name: self._write(by_id[name]))

    def _write(self, entry: InferEntry) -> Path:
        name = entry.recording_id
        table = self.table(name)
        require_handmade(table)
        aggregate_chunks(
            AggregationRequest(
                folder=_results(entry),
                output=self._csv(name),
                parquet=table,
                manifest=entry.manifest,
                root=self.root,
            )
        )
        write_bundle_of(table, BundleParts.at(self.folder / name), self.bucket_minutes)
        return table


def _results(entry: InferEntry) -> Path:
    """Returns the folder with the results of a recording's chunks."""
    return entry.order.output.recording(entry.recording_id)


def require_handmade(table: Path) -> None:
    """Raises OutputUnwritable where a table of `badc run` would be replaced."""
    if is_of_an_asset(table):
        raise OutputUnwritable(
            "badc run wrote this, and its bundle",
            table,
            "Write elsewhere, or use what is there: badc report DATASET",
        )


def is_of_an_asset(table: Path) -> bool:
    """Returns whether `badc run` wrote a table."""
    try:
        return FINGERPRINT_KEY in read_metadata(table)
    except DetectionsInvalid:
        return False
