"""The part of its recording that each analysed chunk covers.

Sound in the overlap of two chunks belongs to the earlier one (`detectors/windows.py`). So an
analysed chunk does not cover its overlap with a failed chunk before it.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import EFFORT
from badc_core.detections.store import read_effort

COVERED = pa.schema(
    [("recording_id", pa.string()), ("start_ms", pa.int64()), ("end_ms", pa.int64())]
)
CHUNK = pa.schema(
    [
        EFFORT.field(name)
        for name in ("recording_id", "chunk_start_ms", "chunk_end_ms", "overlap_ms")
    ]
)
ANALYSED = ("ok", "no_detections")
_ROUNDING_MS = 1


def read_covered(dataset: Dataset, recording_ids: Iterable[str]) -> pa.Table:
    """Returns the analysed parts of a dataset's recordings, by `COVERED`.

    Raises:
        ContentMissing: the content of an effort file is not on this machine.
        DetectionsInvalid: an effort file is malformed.
    """
    tables = []
    for recording_id in recording_ids:
        path = dataset.effort(recording_id)
        tables.append(read_effort(path))
    effort = pa.concat_tables(tables).unify_dictionaries()
    is_analysed = pc.is_in(effort["status"].cast(pa.string()), pa.array(ANALYSED))
    return find_covered(effort.select(CHUNK.names), is_analysed.to_numpy())


def find_covered(chunks: pa.Table, is_analysed: np.ndarray) -> pa.Table:
    """Returns the parts that chunks cover, by `COVERED`.

    Args:
        chunks: by `CHUNK`, in any order. Chunks that were not analysed give the exact millisecond
            at which the next one starts to count; without them it is rounded.
        is_analysed: bool, shape [n_chunks].
    """
    recording = chunks["recording_id"].combine_chunks()
    numbers = pc.dictionary_encode(recording.cast(pa.string())).indices.to_numpy()
    start_ms, end_ms, overlap_ms = (chunks[name].to_numpy() for name in CHUNK.names[1:])
    order = np.lexsort((end_ms, start_ms, numbers))
    before, after = order[:-1], order[1:]
    owned_ms = start_ms + np.where(start_ms > 0, overlap_ms, 0)
    # Start and overlap are rounded separately; the end of the chunk before is exact.
    is_joined = (
        (numbers[before] == numbers[after])
        & (overlap_ms[after] > 0)
        & (np.abs(end_ms[before] - owned_ms[after]) <= _ROUNDING_MS)
    )
    owned_ms[after[is_joined]] = end_ms[before[is_joined]]
    is_kept = is_analysed & (owned_ms < end_ms)
    kept = [recording.cast(pa.string()).filter(is_kept), owned_ms[is_kept], end_ms[is_kept]]
    return pa.Table.from_arrays([pa.array(one) for one in kept], schema=COVERED)
