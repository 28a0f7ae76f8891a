"""Does memory grow with the number of recordings? One run of a thousand, weighed on the way.

Recordings last a second and the detector is `band_energy`, so that what is weighed is BADC. Linux
only: sizes are read from `/proc`.

    python benchmarks/memory.py
"""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.inference.detect import detect_recordings
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings
from badc_core.stages.step_inputs import RecordingInput, StepInputs
from badc_core.telemetry.log import Tail, TelemetryLog

_N_RECORDINGS = 1000
_N_FIRST = 200
_RATE_HZ = 24_000
_SETTINGS = {
    "detector": {"name": "band_energy", "min_score": 0.01},
    "inference": {"cpu_workers": 2},
}


def measure(n_recordings: int = _N_RECORDINGS, n_first: int = _N_FIRST) -> dict[str, float]:
    """Returns how much this process and its workers grew between two recordings, in MiB.

    Args:
        n_recordings: how many there are.
        n_first: after how many the first weighing is.
    """
    with tempfile.TemporaryDirectory(prefix="badc-memory-") as folder:
        _make_recordings(Path(folder) / "audio", n_recordings)
        dataset = Dataset.open(Path(folder), _SETTINGS)
        sizes: dict[int, float] = {}
        with TelemetryLog(dataset.telemetry("memory")) as telemetry:
            recordings = tuple(RecordingInput(one) for one in _prepared(dataset))
            where = dataset.root, dataset.settings, dataset.work_folder
            inputs = StepInputs("raw_detections", *where, "benchmark", recordings)
            outcomes = detect_recordings(inputs, telemetry)
            for n_done, outcome in enumerate(outcomes, start=1):
                if outcome.error is not None:
                    raise outcome.error
                outcome.commit()
                sizes[n_done] = _rss_mib()
        workers = _worker_growth_mib(dataset.telemetry("memory"), n_first)
    return {
        f"memory_growth_mib_over_{n_recordings}_recordings": round(
            sizes[n_recordings] - sizes[n_first], 2
        ),
        "memory_mib": round(sizes[n_recordings], 1),
        f"worker_memory_growth_mib_over_{n_recordings}_recordings": round(workers, 2),
    }


def _make_recordings(folder: Path, n_recordings: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(n_recordings):
        sf.write(folder / f"r{number:05}.wav", rng.normal(0, 0.1, _RATE_HZ), _RATE_HZ)


def _prepared(dataset: Dataset) -> Iterator[str]:
    """Describes and cuts each recording."""
    for registered in register_recordings(dataset).registry:
        described = describe_recording(dataset, registered)
        described.write(dataset.recording(registered.recording_id))
        write_manifest(dataset, registered.recording_id)
        yield registered.recording_id


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _worker_growth_mib(log: Path, n_first: int) -> float:
    """Returns by how much the largest size of a worker rose after the first recordings."""
    ends = [event for event in Tail(log).read() if event["status"] == "success"]
    growth = 0.0
    for worker in {event["worker"] for event in ends}:
        ours = [
            (number, event["details"]["peak_rss_mib"])
            for number, event in enumerate(ends, start=1)
            if event["worker"] == worker
        ]
        before = max(mib for number, mib in ours if number <= n_first)
        growth = max(growth, ours[-1][1] - before)
    return growth


if __name__ == "__main__":
    print(json.dumps(measure()))
