"""Recordings in work: one file for each stage and recording, locked while a run is at work on it.

Locked is busy. Present but unlocked is dirty: a run replaced the output, or was about to, and ended
before the asset graph knew; the recording is due, whatever its fingerprint says. Locks are the
kernel's, so a process that dies leaves its recordings dirty, never busy.

A run that analyses a recording, or writes files of its chunks, excludes others that do so,
whether they write a stage's output or are `badc infer`: that leaves no stage dirty.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from badc_core.atomic import naming_storage_trouble, write_text
from badc_core.datasets.work_folder import ON_CLUSTER, prepare_work_file
from badc_core.errors import InputOutdated, RecordingBusy, RecordingUnattended
from badc_core.locks import is_locked, lock_file, try_lock_file, unlock

_LOOKS, _BETWEEN_LOOKS_S = 3, 0.002
_LOOKS_AT_DIRTY = 25
"""More, since a run that ends and begins again and again may show its file unlocked each time."""


class RecordingWork:
    """One recording of one stage, in work by this process until `commit` or `leave`.

    Garbage collection leaves it too, so an outcome that nobody commits is dirty, not busy.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def commit(self) -> None:
        """Says that the output is whole and whoever must know of it does: no longer dirty."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            self.leave()

    def leave(self) -> None:
        """Lets other runs work on the recording, which stays dirty unless it was committed."""
        if self._descriptor is not None:
            unlock(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        with suppress(OSError):
            self.leave()


class Work:
    """The folder that says which recordings are in work, and holds their journals.

    Nothing in it is a result, and none of it belongs into version control.

    Args:
        folder: `Dataset.work_folder`, or a folder below the output of a run without a dataset.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(
        self, stage: str, recording_id: str, *, takes_over_tasks: bool = False
    ) -> RecordingWork:
        """Marks a recording as in work, before anything of it is read or written.

        Args:
            stage: its name.
            recording_id: which.
            takes_over_tasks: whether whoever begins knows what to do with tasks on a cluster that
                are at work on it.

        Raises:
            RecordingBusy: another run is at work on it. To wait for that could be to wait for a
                run that waits for this one.
            StorageFull, OutputUnwritable: there is no place for the file, nor would be for results.
        """
        if not takes_over_tasks:
            self._require_no_task(recording_id)
        return self._begin(self._path(stage, recording_id), recording_id)

    @contextmanager
    def analysing(self, recording_id: str, *, takes_over_tasks: bool = False) -> Iterator[None]:
        """Excludes other runs that analyse a recording until the block ends; raises as `begin`."""
        if not takes_over_tasks:
            self._require_no_task(recording_id)
        begun = self._begin(self.folder / "analyses" / recording_id, recording_id)
        try:
            yield
        finally:
            begun.commit()

    @contextmanager
    def storing_fingerprints(self, about: str) -> Iterator[None]:
        """Keeps other processes that write the same file of fingerprints waiting.

        Args:
            about: the recording_id; empty for the corpus.
        """
        folder = self.folder / "fingerprints"
        with self._excluding(folder / about if about else self.folder / "fingerprints.lock"):
            yield

    @contextmanager
    def writing_corpus(self) -> Iterator[None]:
        """Keeps other processes that write files about all recordings waiting."""
        with self._excluding(self._corpus_lock):
            yield

    def is_corpus_in_work(self) -> bool:
        """Returns whether a process is at work on files about all recordings."""
        return is_locked(self._corpus_lock)

    def require_finished(self, stage: str, recording_id: str) -> None:
        """Returns if the output of a stage may be read.

        Raises:
            RecordingBusy: another run is at work on it.
            InputOutdated: it is dirty.
        """
        path = self._path(stage, recording_id)
        for _ in range(_LOOKS_AT_DIRTY):
            if not path.exists():
                return
            if is_locked(path):
                raise recording_busy(recording_id)
            # The run may just have ended, which removes the file, or begin, which locks it next.
            time.sleep(_BETWEEN_LOOKS_S)
        raise InputOutdated(
            f"{stage} was not finished, or is damaged", recording_id, f"Materialise {stage} first"
        )

    def is_dirty(self, stage: str, recording_id: str) -> bool:
        """Whether a recording's output is not to be trusted, or is in work."""
        return self._path(stage, recording_id).exists()

    def dirty(self, stage: str) -> set[str]:
        """Returns the recordings whose output is not to be trusted, those in work included."""
        return _names(self.folder / "work" / stage)

    def give_to_task(self, recording_id: str, run: str) -> None:
        """Writes down that a task on a cluster may write a recording's output from now on.

        No lock of this machine says so, and none ends when this process does.

        Args:
            recording_id: which.
            run: the path of its folder.
        """
        path = prepare_work_file(self.folder, self.folder / ON_CLUSTER / recording_id)
        write_text(path, run)

    def take_from_task(self, recording_id: str, run: str) -> None:
        """Writes down that no task of a run writes a recording's output any more."""
        if self.run_of(recording_id) == run:
            (self.folder / ON_CLUSTER / recording_id).unlink(missing_ok=True)

    def run_of(self, recording_id: str) -> str:
        """Returns the run whose tasks may write a recording's output; empty for none."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self.folder / ON_CLUSTER / recording_id).read_text()
        return ""

    def given_to_tasks(self) -> dict[str, str]:
        """Returns the recordings that tasks may write, each with its run."""
        return {one: self.run_of(one) for one in sorted(_names(self.folder / ON_CLUSTER))}

    def follower(self, run: str) -> Path:
        """Returns the file that is locked as long as a process follows a run's tasks.

        Args:
            run: the path of its folder.
        """
        return self.folder / "followed" / Path(run).name

    def is_busy(self) -> bool:
        """Returns whether any run, or task on a cluster, is at work on any recording."""
        if _names(self.folder / ON_CLUSTER):
            return True
        marks = [*self.folder.glob("work/*/*"), *self.folder.glob("analyses/*")]
        return any(map(is_locked, marks))

    def journal(self, recording_id: str) -> Path:
        """Where a recording's chunks are written down while it is being analysed."""
        return self.folder / "journals" / f"{recording_id}.jsonl"

    def damaged(self, path: str) -> Path:
        """Returns where a damaged file is kept; its folder is there.

        Args:
            path: of the file, relative to the dataset.
        """
        return prepare_work_file(self.folder, self.folder / "damaged" / path)

    def mark_lacking(self, stage: str, recording_id: str, *, lacks: bool) -> None:
        """Writes down whether a recording's result of a stage lacks something, or is missing."""
        path = self.folder / "lacking" / stage / recording_id
        if lacks:
            self._touch(path)
        else:
            path.unlink(missing_ok=True)

    def forget(self, stage: str, recording_id: str) -> None:
        """Removes all that is written down about a recording's stage, and its journal."""
        for path in (
            self._path(stage, recording_id),
            self.folder / "lacking" / stage / recording_id,
            self.journal(recording_id),
        ):
            path.unlink(missing_ok=True)

    def lacking(self, stage: str) -> set[str]:
        """Returns the recordings whose result of a stage lacks something, or is missing."""
        return _names(self.folder / "lacking" / stage)

    @property
    def _corpus_lock(self) -> Path:
        return self.folder / "corpus.lock"

    def _path(self, stage: str, recording_id: str) -> Path:
        return self.folder / "work" / stage / recording_id

    def _touch(self, path: Path) -> None:
        prepare_work_file(self.folder, path)
        with naming_storage_trouble(path):
            path.touch()

    @contextmanager
    def _excluding(self, path: Path) -> Iterator[None]:
        """Keeps other processes that lock the same file waiting; it is gone afterwards."""
        prepare_work_file(self.folder, path)
        begun = RecordingWork(path, lock_file(path))
        try:
            yield
        finally:
            begun.commit()

    def _require_no_task(self, recording_id: str) -> None:
        while run := self.run_of(recording_id):
            if is_locked(self.follower(run)):
                raise recording_busy(recording_id)
            if run != self.run_of(recording_id):
                continue  # its host has just ended it
            raise RecordingUnattended(
                f"run {Path(run).name} on the cluster is not finished, and no badc follows it",
                recording_id,
                "To finish it: badc run --slurm DATASET. To end it: badc slurm cancel DATASET",
            )

    def _begin(self, path: Path, recording_id: str) -> RecordingWork:
        prepare_work_file(self.folder, path)
        for _ in range(_LOOKS):
            descriptor = try_lock_file(path)
            if descriptor is not None:
                return RecordingWork(path, descriptor)
            # Whoever looks whether it is locked has it locked for a moment.
            time.sleep(_BETWEEN_LOOKS_S)
        raise recording_busy(recording_id)


def recording_busy(recording_id: str) -> RecordingBusy:
    """Returns the error about a recording that another run is at work on."""
    what = "another run is at work on this recording"
    return RecordingBusy(what, recording_id, "Let that end, then run again")


def _names(folder: Path) -> set[str]:
    with suppress(FileNotFoundError):
        return set(os.listdir(folder))  # noqa: PTH208
    return set()
