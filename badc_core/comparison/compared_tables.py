"""The tables of detections in a comparison, and which parts of recordings each covers.

A table is a dataset, or a CSV or Parquet file of `badc infer aggregate`. The analysed chunks are
read too, if it has them: finding nothing is not the same as not listening. Names of tables are
chosen in `table_arguments.py`; they are compared in `comparing.py`.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from badc_core.annexed_files import require_fetched
from badc_core.columns import map_texts
from badc_core.comparison.analysed_chunks import (
    ANALYSED,
    CHUNK,
    find_covered,
    read_covered,
)
from badc_core.csv_tables import QUOTED
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS, EFFORT, SCHEMA_VERSION
from badc_core.detections.store import (
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    SCHEMA_KEY,
    conform,
    is_readable,
)
from badc_core.errors import ContentMissing, DetectionsInvalid
from badc_core.file_names import absolute
from badc_core.provenance.fetching import require_fetched_all
from badc_core.settings import Settings
from badc_core.stages.work import Work

_FOUND = pa.schema(
    [
        DETECTIONS.field(name)
        for name in (
            *("recording_id", "absolute_time_ms", "absolute_end_ms", "label_name"),
            *("scientific_name", "confidence", "runner", "model_version", "config_hash"),
        )
    ]
)
_OVERLAP = "overlap_ms"
_IS_DETECTION = "is_detection"
_REMEDY = "Give a table of badc infer aggregate, or a dataset's folder"


class DetectorName(NamedTuple):
    """A detector whose results are in a table; the version is empty if unknown."""

    runner: str
    version: str

    def __str__(self) -> str:
        return f"{self.runner} {self.version}".strip()


@dataclass(frozen=True)
class ComparedTable:
    """The content of a table.

    Attributes:
        name: empty until it is named.
        path: its file or folder.
        found: its detections, with columns of `schema.DETECTIONS`.
        covered: the analysed parts, by `analysed_chunks.COVERED`; None if the table does not have
            them.
        detectors: those whose results it has.
        n_repeated: detections that had several rows, of which one is kept.
    """

    name: str
    path: Path
    found: pa.Table
    covered: pa.Table | None
    detectors: tuple[DetectorName, ...] = ()
    n_repeated: int = 0

    @property
    def n_settings(self) -> int:
        """How many different detectors, or settings of one, made its detections."""
        settings = self.found.select(["runner", "model_version", "config_hash"])
        return len(settings.group_by(settings.column_names).aggregate([]))


def read_table(path: Path) -> ComparedTable:
    """Returns a table, without a name.

    Raises:
        ContentMissing: there is no such file or folder, or its content is not on this machine.
        DetectionsInvalid: it is not a table, or cannot be read.
    """
    require_fetched_all([path])
    if not path.exists():
        raise ContentMissing("there is no such file or folder", path, _REMEDY)
    try:
        return _read_folder(path) if path.is_dir() else _read_file(path)
    except DetectionsInvalid as error:
        raise DetectionsInvalid(error.what, error.where, _REMEDY) from error
    except OSError as error:
        raise DetectionsInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error


def _read_file(path: Path) -> ComparedTable:
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    recording_id, dataset = absolute(path).stem, dataset_of(path)
    is_of_dataset = dataset is not None and recording_id in _finished(dataset)
    covered = read_covered(dataset, [recording_id]) if dataset and is_of_dataset else None
    return _read_parquet(path, [path], covered)


def _read_folder(path: Path) -> ComparedTable:
    dataset = dataset_of(path)
    if dataset is None or not dataset.aggregate.is_dir():
        tables = sorted(one.name for one in path.iterdir() if one.suffix in {".csv", ".parquet"})
        hint = f"; of these tables in it, give one: {', '.join(tables[:5])}" if tables else ""
        raise DetectionsInvalid(f"not a dataset with results{hint}", path)
    finished = sorted(_finished(dataset))
    if not finished:
        raise DetectionsInvalid("no recording in it has been analysed", path)
    paths = [dataset.detections(one) for one in finished]
    require_fetched_all([*paths, *(dataset.effort(one) for one in finished)])
    return _read_parquet(path, paths, read_covered(dataset, finished))


def dataset_of(path: Path) -> Dataset | None:
    """Returns the dataset that a folder is, or whose detections a path is in; else None."""
    place = absolute(path)
    inside = place / "x" if path.is_dir() else place
    for folder in inside.parents[2:3]:
        dataset = Dataset(folder, Settings())
        if dataset.aggregate == inside.parent:
            return dataset
    return Dataset(place, Settings()) if path.is_dir() else None


def _finished(dataset: Dataset) -> set[str]:
    """Returns the recordings with detections and effort, unless these are being replaced."""
    detections = {path.stem for path in dataset.aggregate.glob("*.parquet")}
    effort = {path.stem for path in dataset.effort("x").parent.glob("*.parquet")}
    return (detections & effort) - Work(dataset.work_folder).dirty("detections")


def _read_parquet(given: Path, paths: Sequence[Path], covered: pa.Table | None) -> ComparedTable:
    """Returns the table that Parquet files make up."""
    tables: list[pa.Table] = []
    detectors: set[DetectorName] = set()
    for path in paths:
        require_fetched(path)
        try:
            with pq.ParquetFile(path) as file:
                metadata = _metadata(file)
                _require_columns(path, file.schema_arrow.names, [*_FOUND.names, _IS_DETECTION])
                table = file.read(columns=[*_FOUND.names, _IS_DETECTION])
        except (pa.ArrowException, OSError) as error:
            raise DetectionsInvalid(f"not a readable Parquet file ({error})", path) from error
        version = metadata.get(SCHEMA_KEY, str(SCHEMA_VERSION))
        if not is_readable(version):
            raise DetectionsInvalid(f"follows schema {version}, expected {SCHEMA_VERSION}", path)
        if RUNNER_KEY in metadata:
            detectors.add(DetectorName(metadata[RUNNER_KEY], metadata.get(MODEL_VERSION_KEY, "")))
        tables.append(_detections(table, path))
    found, n_repeated = _once_each(pa.concat_tables(tables).unify_dictionaries())
    return ComparedTable("", given, found, covered, _detectors(found, detectors), n_repeated)


def _read_csv(path: Path) -> ComparedTable:
    """Returns the table in a CSV of `badc infer aggregate`, which has every analysed chunk."""
    wanted = [*_FOUND.names, "chunk_start_ms", "chunk_end_ms", "status", _IS_DETECTION]
    types = {name: _plain(DETECTIONS.field(name).type) for name in wanted}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            columns = next(csv.reader(file), [])
        _require_columns(path, columns, wanted)
        if _OVERLAP in columns:
            wanted.append(_OVERLAP)
            types[_OVERLAP] = EFFORT.field(_OVERLAP).type
        rows = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=wanted),
        )
    except (pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise DetectionsInvalid(f"not a readable CSV file ({error})", path) from error
    rows = map_texts(rows, lambda texts: pc.replace_substring_regex(texts, QUOTED, r"\1"))
    if _OVERLAP not in columns:
        rows = rows.append_column(_OVERLAP, pa.array(np.zeros(len(rows), np.int64)))
    is_analysed = pc.or_(
        rows[_IS_DETECTION], pc.is_in(rows["status"], value_set=pa.array(ANALYSED))
    )
    chunks = rows.filter(is_analysed).select(CHUNK.names).group_by(CHUNK.names).aggregate([])
    covered = find_covered(conform(chunks, CHUNK, path), np.ones(len(chunks), np.bool_))
    found, n_repeated = _once_each(_detections(rows, path))
    return ComparedTable("", path, found, covered, _detectors(rows, set()), n_repeated)


def _detections(table: pa.Table, path: Path) -> pa.Table:
    """Returns the rows that are detections, with the columns of `_FOUND`."""
    try:
        is_detection = table[_IS_DETECTION].cast(pa.bool_())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DetectionsInvalid(f"column {_IS_DETECTION} is not true or false", path) from error
    if is_detection.null_count:
        n_empty = is_detection.null_count
        raise DetectionsInvalid(f"column {_IS_DETECTION} is empty in {n_empty} rows", path)
    found = conform(table.filter(is_detection).select(_FOUND.names), _FOUND, path)
    confidence = found["confidence"].to_numpy()
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise DetectionsInvalid("column confidence has values that are not between 0 and 1", path)
    return found


def _once_each(found: pa.Table) -> tuple[pa.Table, int]:
    """Returns detections with one row each, and how many had several.

    Chunks of different lengths repeat detections; the best score is kept.
    """
    same = [name for name in _FOUND.names if name != "confidence"]
    once = found.group_by(same).aggregate([("confidence", "max"), ("confidence", "count")])
    n_repeated = pc.sum(pc.greater(once["confidence_count"], 1)).as_py() or 0
    if not n_repeated:
        return found, 0
    return once.rename_columns({"confidence_max": "confidence"}).select(_FOUND.names), n_repeated


def _metadata(file: pq.ParquetFile) -> dict[str, str]:
    stored = file.metadata.metadata or {}
    return {key.decode(): value.decode() for key, value in stored.items() if b"badc." in key}


def _require_columns(path: Path, columns: Iterable[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in set(columns)]
    if missing:
        noun = "column" if len(missing) == 1 else "columns"
        raise DetectionsInvalid(f"has no {noun} {', '.join(missing)}", path)


def _detectors(rows: pa.Table, known: set[DetectorName]) -> tuple[DetectorName, ...]:
    named = rows.select(["runner", "model_version"])
    pairs = named.group_by(named.column_names).aggregate([]).to_pylist()
    return tuple(
        sorted(known | {DetectorName(one["runner"], one["model_version"]) for one in pairs})
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
