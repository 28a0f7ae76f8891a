"""What work on the cluster will take, before anything is spent: arithmetic over measurements."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registry import read_registry
from badc_core.slurm.packing import most_recordings
from badc_core.slurm.speeds import Speeds, lengths_s
from badc_core.slurm_settings import SlurmSettings
from badc_core.stages.stage import STAGES

_SAMPLE = 100
"""Finished recordings whose files are counted."""

_ASSUMED_FILES, _ASSUMED_BYTES = 25, 600_000
"""Of a recording of which nothing is known; a recording of five minutes with twenty detections."""

_START_S = 20.0
"""That a task takes to start Python and load a model from a shared file system: an assumption."""


@dataclass(frozen=True)
class Workload:
    """What is to be done.

    Attributes:
        recordings: how many.
        audio_h: hours of sound in them.
        speed: x real time of one task.
        is_measured: whether tasks of this dataset were as fast, or nobody knows.
        files: for each recording, of all stages.
        size_bytes: of these.
    """

    recordings: int
    audio_h: float
    speed: float
    is_measured: bool
    files: float = _ASSUMED_FILES
    size_bytes: float = _ASSUMED_BYTES


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
        files: written.
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
    known = [one.recording_id for one in read_registry(dataset.registry)]
    made = STAGES[stage].list_made(dataset)
    left = [one for one in known if one not in made]
    n = len(left) if recordings is None else recordings
    if audio_h is None:
        some = left or known
        audio_h = sum(lengths_s(dataset, some).values()) / 3600 * n / max(1, len(some))
    speeds = Speeds(dataset.work_folder)
    files, size_bytes = _measure_files(dataset)
    return Workload(n, audio_h, speeds.of(stage), speeds.is_measured(stage), files, size_bytes)


def estimate(workload: Workload, settings: SlurmSettings, stage: str) -> Estimate:
    """Returns what a workload takes under settings."""
    work_h = workload.audio_h / workload.speed
    tasks = max(1, math.ceil(work_h * 60 / settings.target_minutes))
    tasks = min(tasks, max(1, workload.recordings))
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
    """Returns files and bytes of a recording that went through all stages, on average."""
    made = sorted(set.intersection(*(one.list_made(dataset) for one in STAGES.values())))
    some = made[:: max(1, len(made) // _SAMPLE)][:_SAMPLE]
    files = [
        path for one in some for stage in STAGES.values() for path in stage.files(dataset, one)
    ]
    if not some:
        return _ASSUMED_FILES, _ASSUMED_BYTES
    return len(files) / len(some), sum(path.stat().st_size for path in files) / len(some)
