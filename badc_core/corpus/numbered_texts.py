"""The rows of parts with numbers in place of texts, by which DuckDB groups in half the time.

Each part's texts have numbers of their own: parts that are counted by one query stay apart, and
their counts come out part by part. To SQL they are numbers. Within a part, the numbers of a column
are in the order of its texts: compare them only there. `NumberedParts` gives the texts back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NUMBERED = (
    (
        *("recording_id", "label", "label_name", "scientific_name"),
        *("runner", "model_version", "model_sha256", "config_hash"),
        *("study_area", "location", "without_sunrise"),
    ),
    ("chunk_id",),
)
"""Columns of texts that many rows have. Those of the second group are many, and numbered after
the first.
"""

_NUMBER = pa.uint32()
"""The type of no other column, so that numbers of texts are known by it."""


@dataclass(frozen=True)
class NumberedParts:
    """The rows of some parts.

    Attributes:
        tables: by name, all parts' one after another.
        texts: by number, each part's after those of the one before. The first one of a part is its
            station, also where that has no name.
        firsts: the number of that, for each part, and how many there are in all.
    """

    tables: Mapping[str, pa.Table]
    texts: pa.StringArray
    firsts: Sequence[int]

    def numbers_of(self, text: str) -> list[int]:
        """Returns all numbers that a text has."""
        found: list[int] = np.flatnonzero(pc.equal(self.texts, text).fill_null(False)).tolist()
        return found

    def split(self, table: pa.Table) -> Iterator[pa.Table]:
        """Yields the rows of each part, with texts.

        Rows of recordings that the part does not have are of no station, and are left out; the
        rule `recordings_have_chunks` names these recordings.

        Args:
            table: what was counted, in the order of a column `location` or else `recording_id`.
        """
        column = table["location" if "location" in table.column_names else "recording_id"]
        bounds = np.searchsorted(
            column.to_numpy(), np.array(self.firsts, column.type.to_pandas_dtype())
        )
        for begin, end in pairwise(bounds.tolist()):
            yield self._with_texts(table.slice(begin, end - begin))

    def _with_texts(self, table: pa.Table) -> pa.Table:
        columns = {
            name: self.texts.take(column) if column.type == _NUMBER else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
        return pa.table(columns)


def number_texts(
    parts: Sequence[Mapping[str, pa.Table]], stations: Sequence[str | None]
) -> NumberedParts:
    """Returns parts with numbers in place of texts.

    Args:
        parts: the tables of each, by name; texts are plain or dictionary-encoded.
        stations: of each.
    """
    numbered, texts, firsts = [], [], [0]
    for tables, station in zip(parts, stations, strict=True):
        own, its = _number_part(tables, firsts[-1])
        numbered.append(own)
        texts += [pa.array([station], pa.string()), its]
        firsts.append(firsts[-1] + 1 + len(its))
    together = {
        name: pa.concat_tables([one[name] for one in numbered], promote_options="default")
        for name in parts[0]
    }
    return NumberedParts(together, pa.concat_arrays(texts), firsts)


def _number_part(
    tables: Mapping[str, pa.Table], station: int
) -> tuple[dict[str, pa.Table], pa.StringArray]:
    """Returns tables with the numbers that follow that of the station, and the texts by number."""
    numbered, found, first = dict(tables), [], station + 1
    for columns in NUMBERED:
        encoded = {
            (name, column): _encode(table[column])
            for name, table in tables.items()
            for column in columns
            if column in table.column_names
        }
        used = [chunk.dictionary for column in encoded.values() for chunk in column.chunks]
        texts, numbers = _order(used, first)
        for (name, column), values in encoded.items():
            table = numbered[name]
            own = pa.chunked_array([_take(next(numbers), one) for one in values.chunks], _NUMBER)
            if column == "location":
                own = pa.array(np.full(table.num_rows, station, np.uint32))
            at = table.column_names.index(column)
            numbered[name] = table.set_column(at, column, own)
        found.append(texts)
        first += len(texts)
    return numbered, pa.concat_arrays(found)


def _encode(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _order(
    dictionaries: Sequence[pa.StringArray], first: int
) -> tuple[pa.StringArray, Iterator[npt.NDArray[np.uint32]]]:
    """Returns their different texts, in order, and for each dictionary its texts' numbers."""
    coded = pa.concat_arrays([pa.array([], pa.string()), *dictionaries]).dictionary_encode()
    order = pc.sort_indices(coded.dictionary)
    numbers = np.empty(len(order), np.uint32)
    numbers[order.to_numpy()] = np.arange(first, first + len(order), dtype=np.uint32)
    ends = np.cumsum([len(one) for one in dictionaries])
    return coded.dictionary.take(order), iter(np.split(numbers[coded.indices], ends[:-1]))


def _take(numbers: npt.NDArray[np.uint32], chunk: pa.DictionaryArray) -> pa.Array:
    if chunk.null_count:
        return pa.array(numbers).take(chunk.indices)
    return pa.array(
        np.take(numbers, chunk.indices.to_numpy(), mode="clip")
    )  # at a third of the cost
