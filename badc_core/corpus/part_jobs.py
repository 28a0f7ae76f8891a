"""What is to be written of parts of a corpus: which recordings, and where their rows come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from badc_core.corpus.parts import CorpusPart, PartFile, PartKey


@dataclass(frozen=True)
class Piece:
    """Where the rows of some consecutive recordings come from.

    Attributes:
        paths: table -> files with nothing but their rows; none where the part has them already,
        first: from this recording
        last: to that one.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    first: str = ""
    last: str = ""


@dataclass(frozen=True)
class PartJob:
    """A part that is to be written.

    Attributes:
        recordings: by `RECORDINGS`, in order.
        pieces: in order.
        base: the part as it was; None if all rows come from other files.
        gone: recordings in that which are no longer in the part.
    """

    key: PartKey
    recordings: pa.Table
    pieces: Sequence[Piece]
    base: CorpusPart | None = None
    gone: Sequence[str] = ()


@dataclass(frozen=True)
class WrittenRows:
    """A part of which the rows are written.

    Attributes:
        job: of which.
        files: table -> its file.
    """

    job: PartJob
    files: Mapping[str, PartFile]

    @property
    def n_rows(self) -> int:
        """In all its tables."""
        return sum(one.rows for one in self.files.values())
