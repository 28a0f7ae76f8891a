"""What work on the cluster will take, before anything is spent: arithmetic over measurements."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.recordings.missing import find_missing
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import read_registry
from badc_core.recordings.scan import list_folders
from badc_core.slurm.packing import most_recordings
from badc_core.slurm.speeds import Speeds, SpeedSource, lengths_s
from badc_core.slurm_settings import SlurmSettings
from badc_core.stages.fingerprint_files import StoredOutput, read_stored
from badc_core.stages.fingerprints import Fingerprints
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work

_SAMPLE = 100
"""Finished recordings whose files are counted."""

_ASSUMED_FILES, _ASSUMED_BYTES = 7, 600_000
"""Of a recording of which nothing is known.

Source: 7 files and folders, counted after `badc run` on a cluster with default settings; bytes
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
        submitted: of the recordings, those that tasks on the cluster have; 0 likewise.
    """

    recordings: int
    audio_h: float
    speed: float
    speed_source: SpeedSource
    files: float = _ASSUMED_FILES
    size_bytes: float = _ASSUMED_BYTES
    unscanned: int = 0
    submitted: int = 0


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
        recordings: how many there will be; None for those without a result that is up to date.
        audio_h: hours of sound in them; None for as much as those known now have on average.

    Raises:
        DetectorMissing, ConfigInvalid: nothing can be run under the settings.
    """
    registry = read_registry(dataset.registry)
    some, unscanned, submitted = list(registry.ids), 0, 0
    if recordings is None:  # else nobody asks which there are, which may take minutes
        some = _find_left(dataset, stage, registry.without(find_missing(dataset, registry)))
        unscanned = len(list_folders(dataset).audio.keys() - {one.path for one in registry})
        submitted = len(Work(dataset.work_folder).given_to_tasks().keys() & set(some))
    n = len(some) if recordings is None else recordings
    if audio_h is None:
        audio_h = sum(lengths_s(dataset, some).values()) / 3600 * n / max(1, len(some))
    speeds = Speeds(dataset.work_folder)
    speed = speeds.of(stage), speeds.source(stage)
    return Workload(n, audio_h, *speed, *_measure_files(dataset), unscanned, submitted)


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


def _find_left(dataset: Dataset, stage: str, rows: Iterable[RegisteredRecording]) -> list[str]:
    """Returns the recordings whose result of a stage is not up to date, as their files say."""
    prints = Fingerprints(dataset)
    work = Work(dataset.work_folder)
    there = {name: one.list_made(dataset) - work.dirty(name) for name, one in STAGES.items()}

    def find_current(
        name: str, row: RegisteredRecording, stored: Mapping[str, StoredOutput]
    ) -> str:
        """Returns the fingerprint of an output that is up to date; else nothing."""
        one, inputs = row.recording_id, STAGES[name].inputs
        sources = [find_current(it, row, stored) for it in inputs] or [prints.of_row(row)]
        if name not in stored or one not in there[name] or not all(sources):
            return ""
        wanted = prints.of(name, *sources, *prints.choices(name, one))
        found = stored[name].fingerprint
        return found if prints.is_current(found, wanted) else ""

    left = []
    for row in rows:
        one = row.recording_id
        stored: Mapping[str, StoredOutput] = {}
        if one in there[stage]:
            with suppress(DatasetInvalid):
                stored = read_stored(dataset.fingerprints(one), one)
        if not find_current(stage, row, stored):
            left.append(one)
    return left


def _measure_files(dataset: Dataset) -> tuple[float, float]:
    """Returns files, with folders, and bytes of a recording that went through all stages."""
    made = sorted(frozenset.intersection(*(one.list_made(dataset) for one in STAGES.values())))
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
