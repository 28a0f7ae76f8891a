"""JSON files of chunks below a folder: which they are, and how their chunks overlap.

Reading one is in `chunk_output.py`; all of them become one table in `aggregation.py`.
"""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from badc_core.chunks.manifest import FILE_MARK, VIRTUAL_MARK
from badc_core.datasets.dataset import HAWKEARS_ENDING, RUNNER_ENDING
from badc_core.errors import DetectionsInvalid
from badc_core.file_names import explain_no_folder
from badc_core.inference.chunk_json import ChunkOrigin
from badc_core.json_texts import parse_object

_SUMMARY_ENDING = ".summary.json"
_MARKS = (VIRTUAL_MARK, FILE_MARK)
"""With which notes begin in manifests that are not the original's."""
_ROUNDING_MS = 1
_REMEDY = "Give the folder of badc infer run"


def find_chunk_files(folder: Path) -> list[Path]:
    """Returns the JSON files of chunks below a folder, in order of their paths.

    Hidden files are left out, and summaries, and what runners left in folders of their own.

    Raises:
        DetectionsInvalid: there is no such folder.
    """
    if not folder.is_dir():
        raise DetectionsInvalid(explain_no_folder(folder), folder, _REMEDY)
    holds_chunks = cache(_holds_chunks)
    return sorted(
        path
        for path in folder.rglob("*.json")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.name.endswith(_SUMMARY_ENDING)
        and not _is_runners(path, folder, holds_chunks)
    )


def overlaps_ms(origins: Iterable[ChunkOrigin]) -> dict[str, int]:
    """Returns chunk_id -> how much of its start was left to the chunk before.

    It is left whatever becomes of the chunk before. The original BADC leaves nothing. The overlap
    in its manifests is the option's, in the first row too: for its chunks the times count.

    Args:
        origins: of one recording's chunks that have a file, also of those that failed.
    """
    overlaps: dict[str, int] = {}
    before_end_ms = -1
    for origin in sorted(origins, key=_times):
        start_ms, end_ms = _times(origin)
        overlap_ms, shared_ms = origin.overlap_ms or 0, before_end_ms - start_ms
        before_end_ms = end_ms
        is_exact = origin.notes.startswith(_MARKS)
        if not origin.config_hash or start_ms == 0:
            overlap_ms = 0
        elif shared_ms >= 0 and (not is_exact or abs(shared_ms - overlap_ms) <= _ROUNDING_MS):
            overlap_ms = shared_ms
        overlaps[origin.chunk_id] = overlap_ms
    return overlaps


def _times(origin: ChunkOrigin) -> tuple[int, int]:
    return origin.start_ms or 0, origin.end_ms or 0


def _is_runners(path: Path, top: Path, holds_chunks: Callable[[Path, str], bool]) -> bool:
    """Whether a file lies in a folder that a runner made for itself.

    The folder's chunk may have no file beside it yet: a killed run left it so. A recording's own
    folder, or one of many recordings, may have such a name too; those hold files of chunks.
    """
    for inside in path.relative_to(top).parents:
        for ending in (HAWKEARS_ENDING, RUNNER_ENDING):
            chunk_id = inside.name.removesuffix(ending)
            if chunk_id == inside.name:
                continue
            is_beside_it = (top / inside).with_name(f"{chunk_id}.json").is_file()
            if is_beside_it or not holds_chunks(path.parent, chunk_id):
                return True
    return False


def _holds_chunks(folder: Path, chunk_id: str) -> bool:
    """Whether files of chunks lie in a folder, rather than a runner's about one chunk."""
    return any(_is_chunks(path, chunk_id) for path in folder.glob("*.json"))


def _is_chunks(path: Path, chunk_id: str) -> bool:
    """Whether a file says whose chunk it is: of the recording it lies under, or another."""
    try:
        content = parse_object(path.read_bytes())
    except (OSError, ValueError):
        return False
    if not content.get("chunk_id"):
        return False
    recording_id = content.get("recording_id")
    is_others = bool(recording_id) and content["chunk_id"] != chunk_id
    return recording_id == path.parent.name or is_others
