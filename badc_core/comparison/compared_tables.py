"""Tables of detections as they are given for a comparison, and what each was made from.

A table is a dataset, or a file of `badc infer aggregate`: CSV or Parquet. Where it tells which
chunks were analysed, that is read too: nothing found is one thing, nobody listened another. How
tables come by their names is in `table_arguments.py`; what is made of them in `comparing.py`.
"""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from badc_core.dataset import Dataset
from badc_core.detections.schema import DETECTIONS, EFFORT, SCHEMA_VERSION
from badc_core.detections.store import (
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    SCHEMA_KEY,
    conform,
    read_effort,
)
from badc_core.errors import ContentMissing, DetectionsInvalid
from badc_core.provenance.in_work import read_marks
from badc_core.settings import Settings

_FOUND = pa.schema(
    [
        DETECTIONS.field(name)
        for name in (
            *("recording_id", "absolute_time_ms", "absolute_end_ms", "label_name"),
            *("scientific_name", "confidence", "runner", "model_version", "config_hash"),
        )
    ]
)
_COVERED = pa.schema(
    [EFFORT.field(name) for name in ("recording_id", "chunk_start_ms", "chunk_end_ms")]
)
_IS_DETECTION = "is_detection"
_ANALYSED = ("ok", "no_detections")
_REMEDY = "Give a table of badc infer aggregate, or a dataset's folder"


@dataclass(frozen=True)
class ComparedTable:
    """What is known of one table.

    Attributes:
        name: what it is called; empty until it is named.
        path: where it was read.
        found: its detections, with columns of `schema.DETECTIONS`.
        covered: recording_id, chunk_start_ms and chunk_end_ms of every chunk that was analysed;
            None where the table does not tell.
        detectors: name and version of all that it has results of.
    """

    name: str
    path: Path
    found: pa.Table
    covered: pa.Table | None
    detectors: tuple[str, ...] = ()

    @property
    def n_settings(self) -> int:
        """How many different detectors, or settings of one, its detections were made with."""
        made_with = self.found.select(["runner", "model_version", "config_hash"])
        return len(made_with.group_by(made_with.column_names).aggregate([]))


def read_table(path: Path) -> ComparedTable:
    """Returns a table, not named yet.

    Raises:
        ContentMissing: there is no such file or folder, or its content is not on this machine.
        DetectionsInvalid: it is no table, or cannot be read.
    """
    if path.is_symlink() and not path.exists():
        raise _not_here(path)
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
    absolute = absolute_path(path)
    dataset = _around(absolute)
    is_of_dataset = dataset is not None and absolute.stem in _finished(dataset)
    found, detectors = _read_parquet([path])
    covered = _read_effort(dataset, [absolute.stem]) if dataset and is_of_dataset else None
    return ComparedTable("", path, found, covered, detectors)


def _read_folder(path: Path) -> ComparedTable:
    absolute = absolute_path(path)
    dataset = _around(absolute / "x") or Dataset(absolute, Settings())
    if not dataset.aggregate.is_dir():
        tables = sorted(one.name for one in path.iterdir() if one.suffix in {".csv", ".parquet"})
        hint = f"; of these tables in it, give one: {', '.join(tables[:5])}" if tables else ""
        raise DetectionsInvalid(f"not a dataset with results{hint}", path)
    finished = sorted(_finished(dataset))
    if not finished:
        raise DetectionsInvalid("no recording in it has been analysed", path)
    found, detectors = _read_parquet([dataset.detections(one) for one in finished])
    return ComparedTable("", path, found, _read_effort(dataset, finished), detectors)


def _around(path: Path) -> Dataset | None:
    """Returns the dataset among whose detections an absolute path lies; None if in none."""
    for folder in path.parents[2:3]:
        dataset = Dataset(folder, Settings())
        if dataset.aggregate == path.parent:
            return dataset
    return None


def absolute_path(path: Path) -> Path:
    """Returns a path from the root on, links kept."""
    # Without `..`, as datasets are named everywhere.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _finished(dataset: Dataset) -> set[str]:
    """Returns the recordings with detections and effort, of which neither is being replaced."""
    detections = {path.stem for path in dataset.aggregate.glob("*.parquet")}
    effort = {path.stem for path in dataset.effort("x").parent.glob("*.parquet")}
    return (detections & effort) - read_marks(dataset, "detections")


def _read_effort(dataset: Dataset, recording_ids: Iterable[str]) -> pa.Table:
    tables = [read_effort(dataset.effort(one)) for one in recording_ids]
    effort = pa.concat_tables(tables).unify_dictionaries()
    return _analysed(effort, pc.is_in(effort["status"].cast(pa.string()), pa.array(_ANALYSED)))


def _analysed(chunks: pa.Table, is_analysed: pa.ChunkedArray) -> pa.Table:
    return chunks.filter(is_analysed).select(_COVERED.names)


def _read_parquet(paths: Sequence[Path]) -> tuple[pa.Table, tuple[str, ...]]:
    """Returns the detections in files, and which detectors they are of."""
    tables: list[pa.Table] = []
    detectors: set[str] = set()
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                metadata = _metadata(file)
                _require_columns(path, file.schema_arrow.names, [*_FOUND.names, _IS_DETECTION])
                table = file.read(columns=[*_FOUND.names, _IS_DETECTION])
        except FileNotFoundError as error:
            raise _not_here(path) from error
        except (pa.ArrowException, OSError) as error:
            raise DetectionsInvalid(f"not a readable Parquet file ({error})", path) from error
        version = metadata.get(SCHEMA_KEY, str(SCHEMA_VERSION))
        if version != str(SCHEMA_VERSION):
            raise DetectionsInvalid(f"follows schema {version}, expected {SCHEMA_VERSION}", path)
        if RUNNER_KEY in metadata:
            detectors.add(_called(metadata[RUNNER_KEY], metadata.get(MODEL_VERSION_KEY, "")))
        tables.append(_detections(table, path))
    found = pa.concat_tables(tables).unify_dictionaries()
    return found, _detectors(found, detectors)


def _read_csv(path: Path) -> ComparedTable:
    """Returns what is in a CSV of `badc infer aggregate`, where every analysed chunk has a row."""
    wanted = [*_FOUND.names, *_COVERED.names[1:], "status", _IS_DETECTION]
    types = {name: _plain(DETECTIONS.field(name).type) for name in wanted}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            _require_columns(path, next(csv.reader(file), []), wanted)
        rows = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=wanted),
        )
    except (pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise DetectionsInvalid(f"not a readable CSV file ({error})", path) from error
    is_analysed = pc.or_(
        rows[_IS_DETECTION], pc.is_in(rows["status"], value_set=pa.array(_ANALYSED))
    )
    covered = _analysed(rows, is_analysed)
    covered = covered.group_by(covered.column_names).aggregate([])
    covered = conform(covered, _COVERED, path)
    return ComparedTable("", path, _detections(rows, path), covered, _detectors(rows, set()))


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


def _not_here(path: Path) -> ContentMissing:
    return ContentMissing(
        "its content is not on this machine", path, "In a DataLad dataset: datalad get"
    )


def _metadata(file: pq.ParquetFile) -> dict[str, str]:
    stored = file.metadata.metadata or {}
    return {key.decode(): value.decode() for key, value in stored.items() if b"badc." in key}


def _require_columns(path: Path, there: Iterable[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in set(there)]
    if missing:
        noun = "column" if len(missing) == 1 else "columns"
        raise DetectionsInvalid(f"has no {noun} {', '.join(missing)}", path)


def _detectors(rows: pa.Table, known: set[str]) -> tuple[str, ...]:
    named = rows.select(["runner", "model_version"])
    pairs = named.group_by(named.column_names).aggregate([]).to_pylist()
    return tuple(sorted(known | {_called(one["runner"], one["model_version"]) for one in pairs}))


def _called(runner: str, version: str) -> str:
    return f"{runner} {version}".strip()


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
