"""Memory over many recordings: neither the process that runs them nor its workers grow."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import soundfile as sf
from support.detecting import IMPORTABLE
from support.telemetry import read_events

N_FIRST, N_ALL = 100, 500
ALLOWED_GROWTH_MIB = 8.0
"""Beside the entries of chunks in the summary, under 1 KiB each, nothing may stay."""

_RUN = """
import json, os, sys
from pathlib import Path
from badc_core.datasets.dataset import Dataset
from badc_core.telemetry.log import TelemetryLog
from support.detecting import cut_recordings, detect_and_select, ids

def rss_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

root, n_first = Path(sys.argv[1]), int(sys.argv[2])
detector = {"name": "band_energy", "min_score": 0.01}
dataset = Dataset.open(root, {"detector": detector, "inference": {"cpu_workers": 2}})

cut_recordings(dataset)
sizes = {}
with TelemetryLog(dataset.telemetry("run")) as telemetry:
    for n_done, outcome in enumerate(detect_and_select(dataset, ids(dataset), telemetry), start=1):
        assert outcome.value is not None, outcome.error
        assert outcome.value.table.num_rows
        if n_done >= n_first:
            sizes[n_done] = rss_mib()
print(json.dumps(sizes))
"""


@pytest.mark.soak
def test_memory_stays_flat_over_many_recordings(tmp_path: Path, lacking) -> None:
    if not Path("/proc/self/statm").exists():
        lacking("/proc/self/statm, which says how much memory a process holds")
    (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(1)
    for number in range(N_ALL):
        sound = rng.normal(0, 0.1, 24_000)
        sf.write(tmp_path / "audio" / f"r{number:04}.wav", sound, 24_000)
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTABLE + _RUN, str(tmp_path), str(N_FIRST)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sizes = {int(n_done): mib for n_done, mib in json.loads(ended.stdout).items()}
    assert max(sizes) == N_ALL
    first = median(mib for n_done, mib in sizes.items() if n_done < N_FIRST + 20)
    last = median(mib for n_done, mib in sizes.items() if n_done > N_ALL - 20)
    assert last - first < ALLOWED_GROWTH_MIB

    log = tmp_path / "artifacts" / "telemetry" / "infer" / "run.jsonl"
    ends = [event for event in read_events(log) if event["status"] == "success"]
    assert len(ends) == N_ALL
    for worker in ("cpu-0", "cpu-1"):
        peaks = [event["details"]["peak_rss_mib"] for event in ends if event["worker"] == worker]
        assert len(peaks) > 20
        assert peaks[-1] - peaks[len(peaks) // 5] < ALLOWED_GROWTH_MIB
