"""Detections of single chunks, in JSON files of ours or the original BADC's, as one table.

The Parquet file follows the one schema; chunks without detections are rows of the CSV only, where
`label` is `none`, as the original's readers expect. Which files count is in `chunk_files.py`;
reading one is in `chunk_output.py`, its rows are in `aggregated_rows.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from badc_core.atomic import replacing, writing_text
from badc_core.chunks.requests import ChunkRequest, read_requests
from badc_core.csv_tables import write_rows
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTION_COLUMNS, DETECTIONS
from badc_core.detections.store import (
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    write_detections,
)
from badc_core.detectors import stub
from badc_core.errors import DetectionsInvalid
from badc_core.inference.aggregated_rows import make_rows, order_of
from badc_core.inference.chunk_files import find_chunk_files, overlaps_ms
from badc_core.inference.chunk_output import (
    ChunkOutput,
    read_chunk_json,
    read_hawkears_table,
)
from badc_core.provenance.fetching import require_fetched_all
from badc_core.recordings.recording import Recording, read_recording
from badc_core.settings import Settings

OVERLAP = "overlap_ms"
"""The CSV's last column: how much of the chunk's start is left to the chunk before."""

CSV_COLUMNS = (*(column.name for column in DETECTION_COLUMNS), OVERLAP)


@dataclass(frozen=True)
class AggregationRequest:
    """What is to be gathered.

    Attributes:
        folder: all chunks' JSON files below it count.
        output: the CSV.
        parquet: the same without rows of chunks without detections; None for none.
        manifest: tells of chunks what their files do not; of the recordings in it, chunks that it
            does not list were cut otherwise before, and are left out.
        root: of the dataset, whose descriptions of recordings are used; None outside.
    """

    folder: Path
    output: Path
    parquet: Path | None = None
    manifest: Path | None = None
    root: Path | None = None


@dataclass(frozen=True)
class AggregationCounts:
    """What was found.

    Attributes:
        n_files: JSON files read.
        n_chunks: with a result, among them those without detections.
        n_failed: files that hold a failure in place of a result; they have no row anywhere.
        n_settings: how many different settings the results were made with.
        n_repeated: detections that have more than one row, from chunks cut in several ways.
        n_stub: chunks on which no model ran, but the stub runner.
        n_left_out: chunks that the manifest does not list.
    """

    n_files: int = 0
    n_recordings: int = 0
    n_chunks: int = 0
    n_detections: int = 0
    n_failed: int = 0
    n_settings: int = 0
    n_repeated: int = 0
    n_stub: int = 0
    n_left_out: int = 0


def aggregate_chunks(wanted: AggregationRequest) -> AggregationCounts:
    """Writes the tables; nothing if there is no chunk's file.

    Raises:
        ContentMissing: a file is annexed and could not be fetched.
        DetectionsInvalid: a file is malformed or does not say when its chunk begins, or a chunk
            has two files.
        ManifestMismatch: the manifest cannot be used.
        StorageFull: the disk or a quota is full.
    """
    paths = find_chunk_files(wanted.folder)
    if not paths:
        return AggregationCounts()
    require_fetched_all([*paths, *([wanted.manifest] if wanted.manifest else [])])
    reading = _Reading(wanted)
    tables: list[pa.Table] = []
    with replacing(wanted.output) as aside, writing_text(aside) as file:
        write_rows(file, CSV_COLUMNS, _read_into(tables, reading.recordings(paths)))
    table = pa.concat_tables(tables).unify_dictionaries()
    if wanted.parquet is not None:
        write_detections(wanted.parquet, table, reading.metadata())
    return replace(
        reading.counts,
        n_files=len(paths),
        n_detections=len(table),
        n_repeated=_count_repeated(table),
    )


def _read_into(
    tables: list[pa.Table], recordings: Iterable[list[dict[str, Any]]]
) -> Iterator[list[Any]]:
    """Yields the CSV's rows, and adds a table of each recording's detections."""
    for rows in recordings:
        yield from ([_cell(row.get(name)) for name in CSV_COLUMNS] for row in rows)
        found = [row for row in rows if row["is_detection"]]
        tables.append(pa.Table.from_pylist(found, DETECTIONS))


class _Reading:
    """Turns files into rows, recording by recording."""

    def __init__(self, wanted: AggregationRequest) -> None:
        self._requests: dict[tuple[str, str], ChunkRequest] = {}
        if wanted.manifest is not None:
            for requests in read_requests([wanted.manifest.absolute()], wanted.root).values():
                self._requests |= {(one.recording_id, one.chunk_id): one for one in requests}
        self._dataset = Dataset(wanted.root, Settings()) if wanted.root is not None else None
        self._seen: dict[tuple[str, str], Path] = {}
        self._hashes: set[str] = set()
        self._detectors: set[tuple[str, str, str]] = set()
        self.counts = AggregationCounts()

    def recordings(self, paths: Iterable[Path]) -> Iterator[list[dict[str, Any]]]:
        """Yields the rows of a recording after the other, by start, then label."""
        for _, files in groupby(paths, key=lambda path: path.parent):
            outputs = [self._complete(read_chunk_json(path)) for path in files]
            outputs.sort(key=lambda one: one.origin.recording_id)
            for recording_id, some in groupby(outputs, key=lambda one: one.origin.recording_id):
                yield self._recording(recording_id, list(some))

    def metadata(self) -> dict[str, str]:
        """Returns what detected in all chunks; nothing where that is not the same for all."""
        if len(self._detectors) != 1:
            return {}
        keys = (RUNNER_KEY, MODEL_VERSION_KEY, MODEL_SHA256_KEY)
        (used,) = self._detectors
        return {key: value for key, value in zip(keys, used, strict=True) if value}

    def _recording(self, recording_id: str, outputs: list[ChunkOutput]) -> list[dict[str, Any]]:
        recording = self._describe(recording_id)
        n_all = len(outputs)
        listed = [one for one in outputs if (recording_id, one.origin.chunk_id) in self._requests]
        outputs = listed or outputs
        good = [one for one in outputs if one.status != "error"]
        self._hashes |= {one.origin.config_hash for one in good}
        self._detectors |= {(one.runner, one.model_version, one.model_sha256) for one in good}
        self.counts = replace(
            self.counts,
            n_settings=len(self._hashes),
            n_recordings=self.counts.n_recordings + 1,
            n_chunks=self.counts.n_chunks + len(good),
            n_failed=self.counts.n_failed + len(outputs) - len(good),
            n_stub=self.counts.n_stub + sum(one.status == stub.NAME for one in good),
            n_left_out=self.counts.n_left_out + n_all - len(outputs),
        )
        overlaps = overlaps_ms(one.origin for one in outputs)
        rows = [
            {**row, OVERLAP: overlaps[output.origin.chunk_id]}
            for output in good
            for row in make_rows(output, recording)
        ]
        rows.sort(key=order_of)
        return rows

    def _describe(self, recording_id: str) -> Recording | None:
        if self._dataset is None:
            return None
        path = self._dataset.recording(recording_id)
        require_fetched_all([path])
        return read_recording(path) if path.exists() else None

    def _complete(self, output: ChunkOutput) -> ChunkOutput:
        """Returns a file's content with what the manifest and the runner's own table add."""
        origin = output.origin
        name = (origin.recording_id, origin.chunk_id)
        if name in self._seen:
            raise _invalid(output, f"the same chunk as in {self._seen[name]}")
        self._seen[name] = output.path
        row = self._requests.get(name)
        if row is not None:
            origin = replace(
                origin,
                start_ms=row.start_ms if origin.start_ms is None else origin.start_ms,
                end_ms=row.end_ms if origin.end_ms is None else origin.end_ms,
                sha256=origin.sha256 or row.sha256,
                notes=origin.notes or row.notes,
                source_path=origin.source_path or row.source_path,
            )
        if origin.start_ms is None or origin.end_ms is None:
            raise _invalid(output, "does not say when its chunk begins and ends")
        # In a file of ours an empty list says that nothing was kept of what such a table holds.
        if not output.detections and not origin.config_hash:
            output = replace(output, detections=tuple(read_hawkears_table(output)))
        return replace(output, origin=origin)


def _count_repeated(table: pa.Table) -> int:
    rows = table.select(["detection_id", "config_hash"])
    counts = rows.group_by(rows.column_names).aggregate([([], "count_all")])["count_all"]
    return pc.sum(pc.greater(counts, 1)).as_py() or 0


def _cell(value: Any) -> str | int | float:
    """Returns a value as the CSV shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return value  # type: ignore[no-any-return]


def _invalid(output: ChunkOutput, what: str) -> DetectionsInvalid:
    return DetectionsInvalid(
        what, output.path, "Give --manifest, or remove the file and run: badc infer run MANIFEST"
    )
