"""Whether chunk files may be analysed: only if the writing of all of them was completed.

How far it came is told by `chunks/status.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from badc_core.chunks.status import read_status
from badc_core.inference.requests import ChunkRequest


def _check_chunk_files(requests: dict[str, tuple[ChunkRequest, ...]], order: RunOrder) -> list[str]:
    """Returns warnings of chunk files whose writing was not completed; raises if none may be."""
    partial = []
    for recording_id, rows in requests.items():
        if all(row.is_file is False for row in rows):
            continue
        folders = {row.audio.parent for row in rows if row.is_file is not False}
        if chunks_dir is not None:
            folders.add(chunks_dir / recording_id)
        for folder in sorted(folders):
            status = read_status(folder)
            is_about_it = status is not None and status.recording_id == recording_id
            if status is not None and is_about_it and status.status != "completed":
                partial.append(f"chunk files of {recording_id} in {folder}: {status.status}")
    return partial
