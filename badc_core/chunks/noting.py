"""Notes about the writing of chunk files; see `datasets/done_notes.py`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from badc_core.chunks.place import ChunkPlace
from badc_core.datasets.done_notes import (
    ChunkNote,
    describe_command,
    leave_note,
    mention,
    now_utc,
)
from badc_core.errors import BadcError

Finish = Callable[[int, int], None]
"""Called with the number of a recording's chunks, and how many of them were written."""


@contextmanager
def noting_chunks(place: ChunkPlace) -> Iterator[Finish]:
    """Yields what leaves a note that the chunks are written; if the block fails, a note says so.

    Outside a dataset there are no notes.
    """
    started_at = now_utc()

    def finish(n_chunks: int, n_written: int) -> None:
        _leave(place, started_at, n_chunks, n_written)

    try:
        yield finish
    except Exception as error:
        why = str(error) if isinstance(error, BadcError) else f"{type(error).__name__}: {error}"
        _leave(place, started_at, error=why)
        raise


def _leave(
    place: ChunkPlace,
    started_at: datetime,
    n_chunks: int = 0,
    n_written: int = 0,
    error: str = "",
) -> None:
    if place.name.dataset is None:
        return
    root = place.name.dataset.root
    note = ChunkNote(
        recording_id=place.name.recording_id,
        started_at=started_at,
        finished_at=now_utc(),
        error=error,
        folder=mention(root, place.folder),
        manifest=mention(root, place.manifest),
        chunks=n_chunks,
        written=n_written,
        chunk_length_s=place.settings.duration_s,
        overlap_s=place.settings.overlap_s,
        **describe_command(),
    )
    leave_note(root, note)
