"""Describing recordings: the body of the stage `recording`.

What a description says is in `recordings/describe.py`.
"""

from collections.abc import Generator

from badc_core.devices.places import usable_cores
from badc_core.outcomes import Outcome
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.recording import Recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import enter_contents, look_again
from badc_core.stages.step_inputs import RecordingInput, StepInputs, each_recording


def describe_recordings(inputs: StepInputs) -> Generator[Outcome[Recording], None, None]:
    """Yields the description of every recording, in order; the consumer commits them.

    What was fetched for it no scan could read, so its fingerprint is entered into the registry.
    """
    dataset = inputs.dataset
    found: list[RegisteredRecording] = []

    def describe_one(one: RecordingInput) -> Recording:
        row = one.require_row()
        seen = look_again(dataset, row) if dataset.audio(row.path).is_file() else row
        recording = describe_recording(dataset, seen)
        recording.write(dataset.recording(one.recording_id))
        if seen != row:
            found.append(seen)
        return recording

    try:
        yield from each_recording(inputs, describe_one, usable_cores())
    finally:
        if found:
            enter_contents(dataset, found)
