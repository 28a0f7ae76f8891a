"""How much of each chunk's start was left to the chunk before, as far as their JSON files tell.

Whose windows are whose is decided in `detectors/windows.py`, and for manifests of the original BADC
in `manifest_tasks.py`; what is found out here goes into the table of `gather.py`.
"""

from collections.abc import Iterable

from badc_core.chunks.manifest import VIRTUAL_MARK
from badc_core.inference.chunk_json import ChunkOrigin

_OUR_MARKS = (VIRTUAL_MARK, "file:")
_ROUNDING_MS = 1


def overlaps_ms(origins: Iterable[ChunkOrigin]) -> dict[str, int]:
    """Returns chunk_id -> how much of its start was left to the chunk before.

    It is left whatever becomes of the chunk before. The original BADC leaves nothing. A manifest of
    the original's says what was asked for, in the first row too: of its chunks the times count.

    Args:
        origins: of one recording's chunks that have a file, also of those that failed.
    """
    overlaps: dict[str, int] = {}
    before_end_ms = -1
    for origin in sorted(origins, key=_times):
        start_ms, end_ms = _times(origin)
        told_ms, shared_ms = origin.overlap_ms or 0, before_end_ms - start_ms
        before_end_ms = end_ms
        is_ours = origin.notes.startswith(_OUR_MARKS)
        if not origin.config_hash or start_ms == 0:
            told_ms = 0
        elif shared_ms >= 0 and (not is_ours or abs(shared_ms - told_ms) <= _ROUNDING_MS):
            told_ms = shared_ms
        overlaps[origin.chunk_id] = told_ms
    return overlaps


def _times(origin: ChunkOrigin) -> tuple[int, int]:
    return origin.start_ms or 0, origin.end_ms or 0
