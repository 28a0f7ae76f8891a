"""Which files the work on a recording reads, and must be here.

They are fetched in `provenance/fetching.py`. What a stage reads is in the table of stages.
"""

from functools import partial
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections
from badc_core.errors import BadcError
from badc_core.provenance.fetching import Needed
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.speech.stored import read_speech
from badc_core.stages.stage import STAGES, Stage


def needed_by(
    stage: Stage, dataset: Dataset, recording_id: str, row: RegisteredRecording | None = None
) -> Needed:
    """Returns what a stage needs of a recording.

    Args:
        stage: the stage.
        dataset: the recording's.
        recording_id: the recording.
        row: its row of the registry; by default its description says which file it is.
    """
    files = [path for name in stage.reads for path in STAGES[name].outputs(dataset, recording_id)]
    # What the model gave before need not be found out again.
    before = stage.outputs(dataset, recording_id) if stage.runs_detector else ()
    return Needed(
        recording_id,
        files,
        partial(_find_sound, stage, dataset, recording_id, row),
        before,
        requires_sound=stage.sound == "needed",
    )


def _find_sound(
    stage: Stage, dataset: Dataset, recording_id: str, row: RegisteredRecording | None
) -> Path | None:
    """Returns the audio file; None where none is read, or the body will say what is wrong."""
    if stage.sound == "unused":
        return None
    try:
        if stage.sound == "shown" and not _has_to_show(dataset, recording_id):
            return None
        path = row.path if row else read_recording(dataset.recording(recording_id)).path
    except BadcError:
        return None
    return dataset.audio(path)


def _has_to_show(dataset: Dataset, recording_id: str) -> bool:
    if dataset.settings.speech.is_searched_for:
        recording = read_recording(dataset.recording(recording_id))
        if read_speech(dataset, recording_id, recording.sha256) is None:
            return True
    if not dataset.settings.report.top_detections:
        return False
    return bool(read_detections(dataset.detections(recording_id)).num_rows)
