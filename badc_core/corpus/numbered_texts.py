"""The rows of a part with numbers in place of texts, by which DuckDB groups in half the time.

Numbers are in the order of the texts: what is sorted by them is sorted by the texts, too. To SQL
they are numbers: compare them only with each other, and let `as_texts` give the texts back.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMBERED = (
    *("recording_id", "label", "label_name", "scientific_name"),
    *("runner", "model_version", "model_sha256", "config_hash"),
    *("study_area", "location", "without_sunrise"),
)
"""Columns of few texts that many rows have."""

_NUMBER = pa.uint32()
"""The type of no other column, so that numbers of texts are known by it."""


def number_texts(tables: Mapping[str, pa.Table]) -> tuple[dict[str, pa.Table], list[str]]:
    """Returns tables with numbers from 0 in the columns `NUMBERED`, and the texts in their order.

    Args:
        tables: by name; texts are plain or dictionary-encoded.
    """
    encoded = {
        (name, column): _encode(table[column])
        for name, table in tables.items()
        for column in table.column_names
        if column in NUMBERED
    }
    used = [chunk.dictionary for column in encoded.values() for chunk in column.chunks]
    texts = pc.unique(pa.chunked_array(used, pa.string()))
    texts = texts.take(pc.sort_indices(texts))
    numbered = dict(tables)
    for (name, column), values in encoded.items():
        table = numbered[name]
        at = table.column_names.index(column)
        numbered[name] = table.set_column(at, column, _number(values, texts))
    return numbered, texts.to_pylist()


def as_texts(columns: Iterable[tuple[str, str]]) -> str:
    """Returns SQL for a selection of columns, with texts in place of their numbers.

    Args:
        columns: name and type of each, as DuckDB describes them. The texts are in its variable
            `texts`.
    """
    texts = {"UINTEGER": as_text, "UINTEGER[]": _as_list}
    return ", ".join(f'{texts.get(kind, str)(name)} AS "{name}"' for name, kind in columns)


def as_text(name: str) -> str:
    """Returns SQL for the text of a column's number."""
    return f"getvariable('texts')[{name} + 1]"


def _as_list(name: str) -> str:
    return f"[{as_text('one')} FOR one IN {name}]"


def _encode(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _number(column: pa.ChunkedArray, texts: pa.Array) -> pa.ChunkedArray:
    chunks = []
    for one in column.chunks:
        numbers = pc.index_in(one.dictionary, value_set=texts).cast(_NUMBER)
        if one.null_count:
            chunks.append(numbers.take(one.indices))
        else:  # at a third of the cost
            found = np.take(numbers.to_numpy(), one.indices.to_numpy(), mode="clip")
            chunks.append(pa.array(found))
    return pa.chunked_array(chunks, _NUMBER)
