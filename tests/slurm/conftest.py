"""A cluster for all tests of this folder, and datasets for it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lacking import lacking
from support.slurm_cluster import Cluster, running_cluster
from support.sounds import write_tone

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings

_MODEL = """\
import time
import numpy as np

def score(windows):
    time.sleep({slow_s} * len(windows))
    return np.array([[float(abs(one).max())] for one in windows])
"""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that runs."""
    if shutil.which("slurmctld") is None or os.geteuid() != 0:
        lacking("slurmctld as root: apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("cluster")
    for one in (folder, *folder.parents[:3]):
        one.chmod(0o755)  # munged is no friend of folders that others may write, nor is root
    with running_cluster(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def on_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Slurm's commands talk to the cluster, which has no jobs of other tests."""
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    yield
    cluster.call("scancel", "-u", "root")
    cluster.call("scontrol", "update", "nodename=n[1-2]", "state=resume")


class Archive:
    """Datasets of recordings that are cut already, in a folder of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, n: int, slow_s: float = 0.0, **slurm: object) -> Dataset:
        """Returns a dataset whose detector takes a while for each window of three seconds.

        Args:
            n: how many recordings of six seconds, of two chunks each.
            slow_s: how long each window takes.
            slurm: settings.
        """
        root = self.folder / "a dataset's; $(folder) %A"
        for number in range(n):
            path = root / "audio" / "A" / f"r{number}.wav"
            if not path.exists():
                write_tone(path, 6.0, number)
        (root / "model.py").write_text(_MODEL.format(slow_s=slow_s))
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
                "inference": {"cpu_workers": 1},
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
