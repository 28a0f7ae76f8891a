"""Describing recordings: the body of the stage `recording`.

What a description says is in `recordings/describe.py`.
"""

import time
from collections.abc import Generator
from contextlib import closing

from badc_core.devices.places import usable_cores
from badc_core.outcomes import Outcome
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.late_contents import LateContent, enter_contents, look_again
from badc_core.recordings.recording import Recording
from badc_core.stages.step_inputs import RecordingInput, StepInputs, each_recording

_ENTER_EVERY_S = 60.0
"""Each time the whole registry is written."""


def describe_recordings(inputs: StepInputs) -> Generator[Outcome[Recording], None, None]:
    """Yields the description of every recording, in order; the consumer commits them.

    What was fetched for it no scan could read, so its fingerprint is entered into the registry.
    """
    dataset = inputs.dataset
    found: list[LateContent] = []

    def describe_one(one: RecordingInput) -> Recording:
        row = one.require_row()
        seen = look_again(dataset, row) if dataset.audio(row.path).is_file() else None
        recording = describe_recording(dataset, seen.row if seen else row)
        recording.write(dataset.recording(one.recording_id))
        if seen and seen.is_new:
            found.append(seen)
        return recording

    def enter_found() -> None:
        entered = [found.pop() for _ in range(len(found))]  # threads may append meanwhile
        if entered:
            enter_contents(dataset, entered)

    last_s = time.monotonic()
    with closing(each_recording(inputs, describe_one, usable_cores())) as outcomes:
        try:
            for outcome in outcomes:
                if time.monotonic() - last_s >= _ENTER_EVERY_S:
                    enter_found()
                    last_s = time.monotonic()
                yield outcome
        finally:
            enter_found()
