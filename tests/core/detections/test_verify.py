import pytest

from badc_core.detections.verify import verify_recording
from badc_core.errors import DetectionsInvalid, ManifestMismatch


def test_tables_that_fit_pass(recording, make_detections, make_effort):
    verify_recording(recording, make_detections(), make_effort())


def test_a_failed_chunk_is_no_mistake(recording, make_detections, make_effort):
    effort = make_effort(status="error", effort_s=0.0, error="worker died")
    verify_recording(recording, make_detections(), effort)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"chunk_start_ms": 61000}, "with a gap at 60000 ms"),
        ({"chunk_end_ms": 119000}, "reach from 0 to 119000 ms"),
        ({"chunk_end_ms": 121000}, "reach from 0 to 121000 ms"),
        ({"chunk_id": "rec_0"}, "a chunk is there twice"),
    ],
)
def test_chunks_that_do_not_cover_the_recording_are_refused(
    recording, make_detections, make_effort, second, message
):
    with pytest.raises(ManifestMismatch, match=message):
        verify_recording(recording, make_detections(), make_effort(**second))


def test_a_recording_without_chunks_is_refused(recording, make_detections, make_effort):
    with pytest.raises(ManifestMismatch, match="no chunks"):
        verify_recording(recording, make_detections(0), make_effort().slice(0, 0))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"status": "maybe"}, "unknown status"),
        ({"status": "error", "effort_s": 60.0, "error": "x"}, "or with effort"),
        ({"status": "error", "effort_s": 0.0}, "without a reason"),
        ({"effort_s": float("nan")}, "effort below 0"),
        ({"detections": 1}, "counts 1 detections, there are 0"),
        ({"recording_id": "other"}, "chunks of another recording"),
    ],
)
def test_effort_that_contradicts_itself_is_refused(
    recording, make_detections, make_effort, second, message
):
    with pytest.raises(DetectionsInvalid, match=message):
        verify_recording(recording, make_detections(), make_effort(**second))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"confidence": 1.01}, "confidence outside 0 to 1"),
        ({"confidence": float("nan")}, "confidence outside 0 to 1"),
        ({"absolute_end_ms": 120001}, "outside the recording"),
        ({"absolute_time_ms": -1}, "outside the recording"),
        ({"absolute_end_ms": 0}, "ends before it starts"),
        ({"recording_id": "other"}, "detections of another recording"),
        ({"chunk_id": "rec_1"}, "counts 3 detections, there are 0"),
    ],
)
def test_detections_that_cannot_be_are_refused(
    recording, make_detections, make_effort, columns, message
):
    with pytest.raises(DetectionsInvalid, match=message):
        verify_recording(recording, make_detections(**columns), make_effort())
