"""Detections and effort files: written and read by the one schema, refused where they break it.

A file's key-value metadata say which schema it follows and what it was made from. What the
columns mean is in `schema.py`; whether the values make sense is asked in `verify.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from badc_core.annexed_files import require_fetched
from badc_core.atomic import replacing
from badc_core.columns import write_parquet
from badc_core.detections.schema import DETECTIONS, EFFORT, SCHEMA_VERSION
from badc_core.errors import DetectionsInvalid

SCHEMA_KEY = "badc.schema"
FINGERPRINT_KEY = "badc.fingerprint"
RUNNER_KEY = "badc.runner"
MODEL_VERSION_KEY = "badc.model_version"
MODEL_SHA256_KEY = "badc.model_sha256"
"""These three keep the detector known where nothing was detected."""
NOT_ANALYSED_KEY = "badc.not_analysed_s"
"""Seconds of digital silence that the model has no scores for; absent where there is none."""
CHANNEL_KEY = "badc.channel"
"""Which channel was analysed: a number from 1, or `each`; absent where it was the mean of all."""
DETECTOR_SETTINGS_KEY = "badc.detector_settings"
"""`DetectorSettings` as JSON: a run may have overridden what the dataset's file says."""

_REMEDY = "Materialise the recording's detections again: badc run DATASET"


def write_detections(
    path: Path, table: pa.Table, metadata: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Writes detections, replacing what was there; equal input gives equal bytes.

    Args:
        path: the Parquet file.
        table: the columns of `schema.DETECTIONS`, in any order; text may be plain.
        metadata: key -> value as stored, such as `FINGERPRINT_KEY`.

    Raises:
        DetectionsInvalid: a column is missing, unknown, of another type, or empty where it may
            not be.
        StorageFull: the disk or a quota is full.
    """
    _write(path, table, DETECTIONS, metadata)


def read_detections(path: Path) -> pa.Table:
    """Returns the detections in a file, with exactly the columns of `schema.DETECTIONS`.

    Raises:
        DetectionsInvalid: absent, corrupt, or of another schema.
    """
    return _read(path, DETECTIONS)


def write_effort(
    path: Path, table: pa.Table, metadata: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Writes the effort, chunk by chunk; as `write_detections`, with `schema.EFFORT`."""
    _write(path, table, EFFORT, metadata)


def read_effort(path: Path) -> pa.Table:
    """Returns the effort in a file, with exactly the columns of `schema.EFFORT`.

    Raises:
        DetectionsInvalid: absent, corrupt, or of another schema.
    """
    return _read(path, EFFORT)


def is_readable(version: str | None) -> bool:
    """Returns whether files of a schema version can be read."""
    return version == str(SCHEMA_VERSION)


def read_metadata(path: Path) -> dict[str, str]:
    """Returns the key-value metadata of a file that was written here.

    Raises:
        DetectionsInvalid: absent, corrupt, or of another schema version.
    """
    with _open(path) as file:
        return _metadata(path, file)


def count_rows(path: Path) -> int:
    """Returns how many rows a file has, without reading them.

    Raises:
        DetectionsInvalid: absent or corrupt.
    """
    with _open(path) as file:
        return int(file.metadata.num_rows)


def conform(table: pa.Table, schema: pa.Schema, where: str | Path) -> pa.Table:
    """Returns the table with exactly a schema's columns, order and types.

    Args:
        table: its columns in any order; text plain or dictionary-encoded.
        schema: `schema.DETECTIONS` or `schema.EFFORT`.
        where: named in errors.

    Raises:
        DetectionsInvalid: naming the first column that is wrong.
    """
    names, expected = table.column_names, schema.names
    unknown = [name for name in names if name not in expected]
    missing = [name for name in expected if name not in names]
    if unknown or missing:
        wrong = f"has no column {missing[0]}" if missing else f"has an unknown column {unknown[0]}"
        raise DetectionsInvalid(wrong, where, _REMEDY)
    columns = [_conform_column(table.column(field.name), field, where) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _conform_column(column: pa.ChunkedArray, field: pa.Field, where: str | Path) -> pa.Array:
    try:
        values = column.combine_chunks()
        if pa.types.is_dictionary(field.type):
            plain = values.cast(pa.string())
            # Encoding afresh, in order of appearance, is what makes equal input give equal bytes.
            values = pc.dictionary_encode(plain)
        if values.type != field.type:
            values = values.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DetectionsInvalid(
            f"column {field.name} is {column.type}, not {field.type} ({error})", where, _REMEDY
        ) from error
    if values.null_count and not field.nullable:
        raise DetectionsInvalid(
            f"column {field.name} is empty in {values.null_count} rows", where, _REMEDY
        )
    return values


def _write(path: Path, table: pa.Table, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
    stored = {**metadata, SCHEMA_KEY: str(SCHEMA_VERSION)}
    checked = conform(table, schema, path).replace_schema_metadata(stored)
    with replacing(path) as aside:
        write_parquet(checked, aside)


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    with _open(path) as file:
        _metadata(path, file)
        try:
            table = file.read()
        except (pa.ArrowException, OSError) as error:
            raise _corrupt(path, error) from error
    table = table.replace_schema_metadata(None)
    return table if table.schema.equals(schema) else conform(table, schema, path)


def _open(path: Path) -> pq.ParquetFile:
    require_fetched(path)
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise DetectionsInvalid("there is no such file", path, _REMEDY) from error
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(path, error) from error


def _metadata(path: Path, file: pq.ParquetFile) -> dict[str, str]:
    stored = file.metadata.metadata or {}
    found = {k.decode(): v.decode() for k, v in stored.items() if k.startswith(b"badc.")}
    version = found.get(SCHEMA_KEY, "none")
    if not is_readable(version):
        raise DetectionsInvalid(
            f"follows schema {version}, expected {SCHEMA_VERSION}", path, _REMEDY
        )
    return found


def _corrupt(path: Path, error: Exception) -> DetectionsInvalid:
    return DetectionsInvalid(f"not a readable Parquet file ({error})", path, _REMEDY)
