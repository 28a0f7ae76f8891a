"""A cluster for all tests of this folder, and datasets for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile as sf
from support.slurm_cluster import Cluster, Kind, running_cluster
from support.sounds import RATE_HZ, write_tone

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings

_MODEL = """\
import time
import numpy as np

def score(windows):
    time.sleep({slow_s} * len(windows))
    if max(abs(one).max() for one in windows) > 0.7:
        kept = np.ones({greedy_mib} << 17)
        time.sleep(30)
    return np.array([[float(abs(one).max())] for one in windows])
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster that runs; a module may have one of another kind instead."""
    with running_cluster(Kind()) as running:
        yield running


@pytest.fixture(scope="session")
def accounting_cluster() -> Iterator[Cluster]:
    """A cluster with accounting, whose arrays have three tasks at most."""
    with running_cluster(Kind(max_array=4, has_accounting=True)) as running:
        yield running


@pytest.fixture(autouse=True)
def on_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Slurm's commands talk to the cluster, which has no jobs of other tests."""
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    yield
    cluster.call("scancel", "-u", "root,nobody")
    cluster.call("scontrol", "update", "nodename=n[1-2]", "state=resume")


class Archive:
    """Datasets of recordings that are cut already, in a folder of a test."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a dataset's; $(folder) %A"

    def make(self, n: int, slow_s: float = 0.0, greedy_mib: int = 0, **slurm: object) -> Dataset:
        """Returns a dataset whose detector takes a while for each window of three seconds.

        Args:
            n: how many recordings of six seconds, of two chunks each.
            slow_s: how long each window takes.
            greedy_mib: memory that the detector wants for the first recording, which is loud; it
                takes half a minute then.
            slurm: settings.
        """
        root = self.root
        for number in range(n):
            path = root / "audio" / "A" / f"r{number}.wav"
            if not path.exists():
                write_tone(path, 6.0, number)
                if greedy_mib and number == 0:
                    sf.write(path, 2 * sf.read(path)[0], RATE_HZ)
        (root / "model.py").write_text(_MODEL.format(slow_s=slow_s, greedy_mib=greedy_mib))
        (root / "labels.txt").write_text("Tone\n")
        model = {
            "labels": str(root / "labels.txt"),
            "function": f"{root / 'model.py'}:score",
            "sample_rate_hz": 16_000,
            "window_s": 3.0,
        }
        defaults = {"stages": ["raw_detections"], "mem": "900M", "target_minutes": 1000.0}
        dataset = Dataset.open(
            root,
            {
                "chunks": {"duration_s": 3.0},
                "detector": {"name": "python", "min_score": 0.1, "model": model},
                "inference": {"cpu_workers": 1, "max_retries": 0},
                "slurm": {**defaults, **slurm},
            },
        )
        for registered in register_recordings(dataset).registry:
            recording = describe_recording(dataset, registered)
            recording.write(dataset.recording(registered.recording_id))
            write_manifest(dataset, registered.recording_id)
        return dataset


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Makes datasets."""
    return Archive(tmp_path)
