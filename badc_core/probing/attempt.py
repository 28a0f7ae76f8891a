"""One attempt of a detector at the first seconds of a file, in a process of its own.

`python -m badc_core.probing.attempt` reads one JSON object from standard input and answers with one
on standard output: a `Measured`, or an `error` that has nothing to do with memory. Which lengths
are tried is decided in `probe.py`.
"""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import NO_CONTEXT, DetectorReport
from badc_core.detectors.registry import load_detector
from badc_core.engine.batching import Batching
from badc_core.engine.protocol import error_to_json
from badc_core.engine.worker import peak_rss_mib
from badc_core.errors import BadcError, OutOfMemory
from badc_core.out_of_memory import is_out_of_memory
from badc_core.probing.measuring import Measured
from badc_core.units import seconds_to_samples


@dataclass
class Peaks:
    """The most memory the detector reported so far, in MiB.

    Attributes:
        programs_rss: of the programs it runs; 0 if it runs none.
        vram: None if it reports nothing.
    """

    programs_rss: float = 0.0
    vram: float | None = None

    @property
    def rss(self) -> float:
        """Of this process and the programs together."""
        return peak_rss_mib() + self.programs_rss

    def add(self, report: DetectorReport | None) -> None:
        """Adds what a detector reports after a call."""
        if report is None:
            return
        self.programs_rss = max(self.programs_rss, report.peak_rss_mib or 0.0)
        if report.peak_vram_mib is not None:
            self.vram = max(self.vram or 0.0, report.peak_vram_mib)


def detect_beginning(
    file: Path, duration_s: float, settings: DetectorSettings, peaks: Peaks
) -> None:
    """Analyses the first seconds of a file.

    Windows are given to the model as a worker gives them: a full batch at once.

    Args:
        file: a recording.
        duration_s: how much of its beginning.
        settings: of the detector.
        peaks: grows with what the detector reports.

    Raises:
        OutOfMemory: memory did not suffice.
        BadcError: the detector is missing or failed, or the file cannot be decoded.
    """
    detector = load_detector(settings)
    waiting: Batching[None] = Batching(detector)

    def detect_waiting() -> None:
        for _, batch in waiting.take(everything=True):
            try:
                detector.detect(batch)
            finally:
                peaks.add(detector.report())

    try:
        with AudioFile(file, accept_truncated=True) as audio:
            end = min(audio.n_samples, seconds_to_samples(duration_s, audio.sample_rate_hz))
            chunk = Chunk("probe", 0, max(1, end), 0, audio.sample_rate_hz)
            for batch in detector.batches(audio, chunk, NO_CONTEXT):
                waiting.add(None, batch)
                if waiting.is_full:
                    detect_waiting()
            detect_waiting()
    finally:
        detector.close()


def _limit_memory(limit_mib: float | None) -> None:
    """Makes an allocation beyond the limit fail here, before the machine runs out for everybody.

    Programs started from here inherit the limit, each for itself.
    """
    if limit_mib is None or not sys.platform.startswith("linux"):
        return
    limit_bytes = int(limit_mib * (1 << 20))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def main() -> int:
    """Answers one request."""
    reply = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = json.load(sys.stdin)
    peaks, started_s, reason = Peaks(), time.monotonic(), ""
    try:
        _limit_memory(task["limit_mib"])
        settings = DetectorSettings.model_validate(task["detector"])
        detect_beginning(Path(task["file"]), task["duration_s"], settings, peaks)
    except Exception as error:
        if is_out_of_memory(error):
            what = error.what if isinstance(error, OutOfMemory) else type(error).__name__
            reason = f"out of memory: {what}"
        elif isinstance(error, BadcError):
            json.dump({"error": error_to_json(error)}, reply)
            reply.flush()
            return 0
        else:
            raise
    measured = Measured(not reason, peaks.rss, peaks.vram, reason, time.monotonic() - started_s)
    json.dump(asdict(measured), reply)
    reply.flush()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
