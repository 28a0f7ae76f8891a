"""What work on the cluster will take, before anything is spent: arithmetic over measurements."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registry import read_registry
from badc_core.recordings.scan import list_folders
from badc_core.slurm.packing import most_recordings
from badc_core.slurm.speeds import Speeds, SpeedSource, lengths_s
from badc_core.slurm_settings import SlurmSettings
from badc_core.stages.stage import STAGES

_SAMPLE = 100
"""Finished recordings whose files are counted."""

_ASSUMED_FILES, _ASSUMED_BYTES = 21, 600_000
"""Of a recording of which nothing is known.

Source: 18 files and 3 folders, counted after `badc run` on a cluster with default settings; bytes
of a recording of five minutes with twenty detections.
"""

_START_S = 20.0
"""That a task takes to start Python and load a model from a shared file system: an assumption."""


@dataclass(frozen=True)
class Workload:
    """What is to be done.

    Attributes:
        recordings: how many.
        audio_h: hours of sound in them.
        speed: x real time of one task.
        speed_source: where that is from.
        files: for each recording, of all stages; its folders count as files, as in quotas.
        size_bytes: of these.
        unscanned: audio files that no scan has seen yet, and that are left out; 0 where a number
            of recordings was asked for.
    """

    recordings: int
    audio_h: float
    speed: float
    speed_source: SpeedSource
    files: float = _ASSUMED_FILES
    size_bytes: float = _ASSUMED_BYTES
    unscanned: int = 0


@dataclass(frozen=True)
class Estimate:
    """What that takes.

    Attributes:
        tasks: of arrays.
        at_once: of these, that may run at the same time.
        task_h: hours of all tasks together.
        gpu_h: hours of GPUs.
        wall_h: of tasks, one after another where no more may run, without waiting in the queue and
            without the stages that run on the host.
        files: written, and folders.
        size_bytes: of these.
    """

    tasks: int
    at_once: int
    task_h: float
    gpu_h: float
    wall_h: float
    files: int
    size_bytes: int


def read_workload(
    dataset: Dataset, stage: str, recordings: int | None = None, audio_h: float | None = None
) -> Workload:
    """Returns what is left to do of a stage, from what is known of the dataset.

    Args:
        dataset: the dataset.
        stage: its name.
        recordings: how many there will be; None for those that have no result yet.
        audio_h: hours of sound in them; None for as much as those known now have on average.
    """
    registry = read_registry(dataset.registry)
    known = list(registry.ids)
    made = STAGES[stage].list_made(dataset)
    left = [one for one in known if one not in made]
    n = len(left) if recordings is None else recordings
    if audio_h is None:
        some = left or known
        audio_h = sum(lengths_s(dataset, some).values()) / 3600 * n / max(1, len(some))
    speeds = Speeds(dataset.work_folder)
    speed = speeds.of(stage), speeds.source(stage)
    unscanned = 0
    if recordings is None:  # else nobody asks how many there are, which may take minutes
        unscanned = len(list_folders(dataset).audio.keys() - {one.path for one in registry})
    return Workload(n, audio_h, *speed, *_measure_files(dataset), unscanned)


def estimate(workload: Workload, settings: SlurmSettings, stage: str) -> Estimate:
    """Returns what a workload takes under settings."""
    work_h = workload.audio_h / workload.speed
    tasks = min(workload.recordings, max(1, math.ceil(work_h * 60 / settings.target_minutes)))
    if not tasks:
        return Estimate(0, 0, 0.0, 0.0, 0.0, 0, 0)
    # One step after the other, each with its own tasks.
    n_steps = max(1, math.ceil(workload.recordings / most_recordings()))
    a_step = math.ceil(tasks / n_steps)
    at_once = min(a_step, settings.max_running_tasks or a_step)
    task_h = work_h + tasks * _START_S / 3600
    return Estimate(
        tasks,
        at_once,
        task_h,
        task_h * settings.for_stage(stage).n_gpus,
        n_steps * math.ceil(a_step / at_once) * task_h / tasks,
        round(workload.recordings * workload.files),
        round(workload.recordings * workload.size_bytes),
    )


def explain_lack_of_room(wanted: Estimate, folder: Path) -> list[str]:
    """Returns what a file system has too little of, as far as it tells; quotas often do not show.

    Args:
        wanted: what is to be written.
        folder: in the file system, or to be made there.
    """
    while not folder.exists():
        folder = folder.parent
    there = os.statvfs(folder)
    free_bytes = there.f_bavail * there.f_frsize
    lacking = []
    if wanted.size_bytes > free_bytes:
        lacking.append(f"{folder} has {free_bytes / 1e9:.1f} GB free")
    if there.f_files and wanted.files > there.f_favail:
        lacking.append(f"{folder} has room for {there.f_favail} more files")
    return lacking


def _measure_files(dataset: Dataset) -> tuple[float, float]:
    """Returns files, with folders, and bytes of a recording that went through all stages."""
    made = sorted(set.intersection(*(one.list_made(dataset) for one in STAGES.values())))
    some = made[:: max(1, len(made) // _SAMPLE)][:_SAMPLE]
    if not some:
        return _ASSUMED_FILES, _ASSUMED_BYTES
    sizes = [size for one in some for size in _sizes(dataset, one)]
    return len(sizes) / len(some), sum(sizes) / len(some)


def _sizes(dataset: Dataset, recording_id: str) -> Iterator[int]:
    """Yields the bytes of each file and folder that is about one recording only."""
    written = [path for one in STAGES.values() for path in one.writes(dataset, recording_id)]
    for path in (*written, dataset.fingerprints(recording_id)):
        for one in (path, *path.rglob("*")):
            if one.is_file():
                yield one.stat().st_size
            elif one.is_dir() or one.is_symlink():  # or content that is elsewhere
                yield 0
