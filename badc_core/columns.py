"""A column of a table: name, type and meaning, from which files and documentation are made.

Which columns a table has is defined beside the table: `detections/schema.py`,
`chunks/manifest.py`.
"""

from dataclasses import dataclass

import pyarrow as pa


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
