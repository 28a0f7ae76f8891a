"""Tables: their columns, from which files and documentation are made, and writing them as Parquet.

Which columns a table has is defined beside the table: `detections/schema.py`,
`chunks/manifest.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from badc_core.atomic import damaged_write

_FEW_ROWS = 500


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: as in every file and database.
        type: its Arrow type.
        meaning: one sentence, with the unit.
        nullable: whether a value may be missing.
    """

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Returns the Arrow schema of a table."""
    return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in columns])


def map_texts(
    table: pa.Table, change: Callable[[pa.ChunkedArray], pa.Array | pa.ChunkedArray]
) -> pa.Table:
    """Returns a table with other texts in its columns of texts, the others as they are."""
    columns = [
        change(column) if pa.types.is_string(column.type) else column for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes a table to a file that nobody reads yet; equal tables give equal bytes.

    Compressing one of few rows would take half the time of writing it, and save 4 % of its size.

    Raises:
        OSError: it could not be written, or its footer read back is not this table's.
    """
    pq.write_table(table, path, compression="none" if table.num_rows <= _FEW_ROWS else "zstd")
    try:
        n_rows = pq.read_metadata(path).num_rows
    except pa.ArrowInvalid as error:
        raise damaged_write(path) from error
    if n_rows != table.num_rows:
        raise damaged_write(path)
