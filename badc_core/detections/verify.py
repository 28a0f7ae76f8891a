"""What one recording's tables of detections and effort promise.

What a corpus promises is in `corpus/rules.py`; what columns exist in `schema.py`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from badc_core.detectors import stub
from badc_core.errors import DetectionsInvalid, ManifestMismatch
from badc_core.recordings.recording import Recording
from badc_core.units import samples_to_ms

CHUNK_STATUSES = ("ok", "no_detections", "error", stub.NAME)

_REMEDY = "Materialise the recording again: badc run DATASET"


def verify_recording(recording: Recording, detections: pa.Table, effort: pa.Table) -> None:
    """Checks one recording's tables against each other and against the recording.

    A failed chunk is no mistake of the tables and passes.

    Args:
        recording: what the tables are about.
        detections: by `schema.DETECTIONS`.
        effort: by `schema.EFFORT`, in any order.

    Raises:
        ManifestMismatch: the chunks are not those of the recording.
        DetectionsInvalid: a value breaks what the schema promises.
    """
    end_ms = samples_to_ms(recording.n_samples, recording.sample_rate_hz)
    _verify_coverage(recording, effort, end_ms)
    _verify_effort(recording, effort)
    _verify_detections(recording, detections, end_ms)
    _verify_counts(recording, detections, effort)


def _verify_coverage(recording: Recording, effort: pa.Table, end_ms: int) -> None:
    if not effort.num_rows:
        raise ManifestMismatch("it has no chunks", recording.path, _REMEDY)
    _refuse_strangers(recording, effort, "chunks")
    if pc.count_distinct(effort["chunk_id"]).as_py() != effort.num_rows:
        raise ManifestMismatch("a chunk is there twice", recording.path, _REMEDY)
    starts_ms, ends_ms = _numbers(effort, "chunk_start_ms"), _numbers(effort, "chunk_end_ms")
    order = np.argsort(starts_ms, kind="stable")
    starts_ms, reached_ms = starts_ms[order], np.maximum.accumulate(ends_ms[order])
    gaps = np.flatnonzero(starts_ms[1:] > reached_ms[:-1])
    if starts_ms[0] != 0 or reached_ms[-1] != end_ms or gaps.size:
        place = f", with a gap at {reached_ms[gaps[0]]} ms" if gaps.size else ""
        raise ManifestMismatch(
            f"its chunks reach from {starts_ms[0]} to {reached_ms[-1]} ms{place}; "
            f"the recording from 0 to {end_ms} ms",
            recording.path,
            _REMEDY,
        )


def _verify_effort(recording: Recording, effort: pa.Table) -> None:
    status = effort["status"].cast(pa.string())
    effort_s = effort["effort_s"]
    failed = pc.equal(status, "error")
    unheard = pc.equal(status, stub.NAME)
    _refuse(recording, pc.invert(pc.is_in(status, pa.array(CHUNK_STATUSES))), "unknown status")
    _refuse(recording, _outside(effort_s, float("inf")), "effort below 0")
    _refuse(
        recording,
        pc.and_(failed, pc.or_(pc.is_null(effort["error"]), pc.greater(effort_s, 0))),
        "a failed chunk without a reason, or with effort",
    )
    _refuse(recording, pc.and_(unheard, pc.greater(effort_s, 0)), "effort without a model")


def _verify_detections(recording: Recording, detections: pa.Table, end_ms: int) -> None:
    _refuse_strangers(recording, detections, "detections")
    start, end = detections["absolute_time_ms"], detections["absolute_end_ms"]
    _refuse(recording, _outside(detections["confidence"], 1), "confidence outside 0 to 1")
    _refuse(
        recording,
        pc.or_(_outside(start, end_ms), _outside(end, end_ms)),
        f"detection outside the recording (0 to {end_ms} ms)",
    )
    _refuse(recording, pc.less_equal(end, start), "detection that ends before it starts")


def _verify_counts(recording: Recording, detections: pa.Table, effort: pa.Table) -> None:
    found = pc.value_counts(detections["chunk_id"].cast(pa.string()))
    counted: dict[str, int] = dict(
        zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    )
    promised = dict(
        zip(effort["chunk_id"].to_pylist(), effort["detections"].to_pylist(), strict=True)
    )
    for chunk_id in sorted(counted.keys() | promised.keys()):
        if counted.get(chunk_id, 0) != promised.get(chunk_id, 0):
            raise DetectionsInvalid(
                f"chunk {chunk_id} counts {promised.get(chunk_id, 0)} detections, "
                f"there are {counted.get(chunk_id, 0)}",
                recording.path,
                _REMEDY,
            )


def _refuse_strangers(recording: Recording, table: pa.Table, what: str) -> None:
    own = pc.equal(table["recording_id"].cast(pa.string()), recording.recording_id)
    _refuse(recording, pc.invert(own), f"{what} of another recording")


def _refuse(recording: Recording, wrong: Any, what: str) -> None:
    """Raises if any value of a boolean column is true."""
    n_wrong = pc.sum(wrong).as_py() or 0
    if n_wrong:
        raise DetectionsInvalid(f"{what} ({n_wrong} rows)", recording.path, _REMEDY)


def _outside(column: Any, highest: float) -> Any:
    """Tells value by value what is not from 0 to a number; not a number is not."""
    within = pc.and_(pc.greater_equal(column, 0), pc.less_equal(column, highest))
    return pc.invert(within)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = table[name].to_numpy()
    return numbers
