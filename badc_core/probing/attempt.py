"""One try of a detector at the first seconds of a file, in a process of its own.

`python -m badc_core.probing.attempt` takes one JSON object on standard input and answers with
one on standard output: what memory was needed, that it did not suffice, or what else went wrong.
Which lengths are tried is decided in `probe.py`.
"""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import NO_CONTEXT, Detector, DetectorReport
from badc_core.detectors.registry import load_detector
from badc_core.engine.batching import Batching, is_out_of_memory
from badc_core.engine.protocol import error_to_json
from badc_core.engine.worker import peak_rss_mib
from badc_core.errors import BadcError, OutOfMemory
from badc_core.units import seconds_to_samples


@dataclass
class Peaks:
    """The most memory the detector told of so far, in MiB.

    Attributes:
        programs_rss: of the programs it runs; 0 if it runs none.
        vram: None if it tells nothing.
    """

    programs_rss: float = 0.0
    vram: float | None = None

    @property
    def rss(self) -> float:
        """Of this process and the programs together."""
        return peak_rss_mib() + self.programs_rss

    def hear(self, report: DetectorReport | None) -> None:
        """Takes in what a detector tells after a call."""
        if report is None:
            return
        self.programs_rss = max(self.programs_rss, report.peak_rss_mib or 0.0)
        if report.peak_vram_mib is not None:
            self.vram = max(self.vram or 0.0, report.peak_vram_mib)


def attempt(
    file: Path, duration_s: float, settings: DetectorSettings, peaks: Peaks
) -> dict[str, Any]:
    """Returns the most memory that was needed to analyse the first seconds of a file.

    Windows are given to the model as a worker gives them: as many at once as it likes.

    Args:
        file: a recording.
        duration_s: how much of its beginning.
        settings: of the detector.
        peaks: also tells what was needed where this raises.

    Raises:
        OutOfMemory: memory did not suffice.
        BadcError: the detector is missing or failed, or the file cannot be decoded.
    """
    started = time.monotonic()
    detector = load_detector(settings)
    try:
        with AudioFile(file) as audio:
            end = min(audio.n_samples, seconds_to_samples(duration_s, audio.sample_rate_hz))
            chunk = Chunk("probe", 0, max(1, end), 0, audio.sample_rate_hz)
            _detect(detector, audio, chunk, peaks)
    finally:
        detector.close()
    return {
        "peak_rss_mib": peaks.rss,
        "peak_vram_mib": peaks.vram,
        "runtime_s": time.monotonic() - started,
    }


def _detect(detector: Detector, audio: AudioFile, chunk: Chunk, peaks: Peaks) -> None:
    waiting: Batching[None] = Batching(detector)
    for batch in detector.batches(audio, chunk, NO_CONTEXT):
        waiting.add(None, batch)
        if waiting.is_full:
            _detect_waiting(detector, waiting, peaks)
    _detect_waiting(detector, waiting, peaks)


def _detect_waiting(detector: Detector, waiting: Batching[None], peaks: Peaks) -> None:
    """Runs the detector on what waits, without halving it."""
    for _, batch in waiting.take(everything=True):
        try:
            detector.detect(batch)
        finally:
            peaks.hear(detector.report())


def _limit_memory(limit_mib: float | None) -> None:
    """Makes an allocation beyond the limit fail here, before the machine runs out for everybody.

    Programs started from here inherit the limit, each for itself.
    """
    if limit_mib is None or not sys.platform.startswith("linux"):
        return
    wanted = int(limit_mib * (1 << 20))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def main() -> int:
    """Answers one request."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = json.load(sys.stdin)
    peaks = Peaks()
    try:
        _limit_memory(task["limit_mib"])
        settings = DetectorSettings.model_validate(task["detector"])
        found = {"peak": attempt(Path(task["file"]), task["duration_s"], settings, peaks)}
    except Exception as error:
        if is_out_of_memory(error):
            shown = error.what if isinstance(error, OutOfMemory) else type(error).__name__
            found = {"out_of_memory": {"reason": shown, "peak_rss_mib": peaks.rss}}
        elif isinstance(error, BadcError):
            found = {"error": dict(error_to_json(error))}
        else:
            raise
    json.dump(found, answer)
    answer.flush()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
