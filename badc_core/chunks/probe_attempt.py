"""One try of a detector at the first seconds of a file, in a process of its own.

`python -m badc_core.chunks.probe_attempt` takes one JSON object on standard input and answers with
one on standard output: what memory was needed, that it did not suffice, or what else went wrong.
Which lengths are tried is decided in `probe.py`.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detectors.interface import NOWHERE, Detector
from badc_core.detectors.registry import load_detector
from badc_core.errors import BadcError, OutOfMemory
from badc_core.inference.batching import Batching, is_out_of_memory
from badc_core.inference.protocol import error_to_json
from badc_core.inference.worker import peak_rss_mib
from badc_core.settings import DetectorSettings
from badc_core.units import seconds_to_samples


def attempt(file: Path, duration_s: float, settings: DetectorSettings) -> dict[str, Any]:
    """Returns the most memory that was needed to analyse the first seconds of a file.

    Windows are given to the model as a worker gives them: as many at once as it likes.

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
            peak_vram_mib = _detect(detector, audio, chunk)
    finally:
        detector.close()
    return {
        "peak_rss_mib": peak_rss_mib(),
        "peak_vram_mib": peak_vram_mib,
        "runtime_s": time.monotonic() - started,
    }


def _detect(detector: Detector, audio: AudioFile, chunk: Chunk) -> float | None:
    """Runs the detector over a chunk and returns the most GPU memory it told of."""
    peaks_mib: list[float] = []
    waiting: Batching[None] = Batching(detector)
    for batch in detector.batches(audio, chunk, NOWHERE):
        waiting.add(None, batch)
        if waiting.is_full:
            peaks_mib += _detect_waiting(detector, waiting)
    peaks_mib += _detect_waiting(detector, waiting)
    return max(peaks_mib, default=None)


def _detect_waiting(detector: Detector, waiting: Batching[None]) -> Iterator[float]:
    """Runs the detector on what waits, without halving it; yields the GPU memory it tells of."""
    for _, batch in waiting.take(everything=True):
        detector.detect(batch)
        report = detector.report()
        if report is not None and report.peak_vram_mib is not None:
            yield report.peak_vram_mib


def _limit_memory(limit_mib: float | None) -> None:
    """Makes an allocation beyond the limit fail here, before the machine runs out for everybody."""
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
    try:
        _limit_memory(task["limit_mib"])
        settings = DetectorSettings.model_validate(task["detector"])
        found = {"peak": attempt(Path(task["file"]), task["duration_s"], settings)}
    except Exception as error:
        if is_out_of_memory(error):
            shown = error.what if isinstance(error, OutOfMemory) else type(error).__name__
            found = {"out_of_memory": {"reason": shown, "peak_rss_mib": peak_rss_mib()}}
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
