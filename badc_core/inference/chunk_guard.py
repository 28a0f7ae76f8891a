"""Whether chunk files may be analysed: only if the writing of all of them was completed.

How far it came is read in `chunks/status.py`.
"""

from collections.abc import Mapping, Sequence

from badc_core.chunks.requests import ChunkRequest
from badc_core.chunks.status import read_status
from badc_core.errors import ManifestMismatch
from badc_core.inference.run_spec import RunSpec


def check_chunk_files(
    requests: Mapping[str, Sequence[ChunkRequest]], order: RunSpec
) -> tuple[str, ...]:
    """Returns warnings of chunk files that are not complete.

    Rows that are ranges of a recording need no such folder, and a folder without a status is not
    ours to judge.

    Args:
        requests: recording_id -> its rows; folders that they name are looked at anyway.
        order: says where chunk files are, and whether they may be incomplete.

    Raises:
        ManifestMismatch: they are not complete and must be, or a status is malformed.
    """
    incomplete = []
    for recording_id, rows in requests.items():
        folders = {row.audio.parent for row in rows if row.is_file is not False}
        named = order.chunk_files_of(recording_id)
        if folders and named is not None:
            folders.add(named)
        for folder in sorted(folders):
            status = read_status(folder)
            if status is None or status.recording_id != recording_id:
                continue
            if status.status != "completed":
                incomplete.append(f"chunk files of {recording_id} in {folder}: {status.status}")
    if incomplete and not order.allow_partial_chunks:
        raise ManifestMismatch(
            "; ".join(incomplete),
            order.manifests[0],
            "Run: badc chunk run FILE, or give --allow-partial-chunks",
        )
    return tuple(incomplete)
