"""A detector that waits, so that a run can be looked at, killed or stopped while it is at work."""


def held_detector(passing: str = "") -> str:
    """Returns the source of one: it waits for a file `go` beside it, and writes `begun` there.

    Args:
        passing: id of a chunk that it does not wait with.
    """
    return f"""
import time
from pathlib import Path

from badc_core.detectors import band_energy

identify = band_energy.identify


class Held:
    def __init__(self, detector):
        self._detector = detector

    def __getattr__(self, name):
        return getattr(self._detector, name)

    def batches(self, audio, chunk, recording_context):
        folder = Path(__file__).parent
        with (folder / "begun").open("a") as file:
            file.write(f"{{chunk.chunk_id}}\\n")
        until_s = time.monotonic() + 20 * (chunk.chunk_id != {passing!r})
        while not (folder / "go").exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        return self._detector.batches(audio, chunk, recording_context)


def load(settings):
    return Held(band_energy.load(settings))
"""
