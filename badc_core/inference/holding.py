"""Keeping a recording to one of the runs that a dataset has at the same time.

Held are what two runs would spoil for each other: the folder of a recording's results, and its
telemetry log with the summary beside. Locks are the kernel's: a process that dies lets them go.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from badc_core.atomic import naming_storage_trouble
from badc_core.errors import RecordingBusy
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.run_order import RunMade, RunOrder


class HeldRun(ManifestRun):
    """The run of a recording that no other such run is at work on, until this one ends.

    What is there of the recording is looked up once it is held.

    Args:
        order: what is to be run.
        recording_id: whose chunks the manifest has.

    Raises:
        RecordingBusy: another run is at work on it. To wait for that could be to wait for a run
            that waits for this one.
        StorageFull, OutputUnwritable: there is no place for the lock, nor would be for results.
        ManifestMismatch, DatasetInvalid, ConfigInvalid, DetectorMissing: as for `ManifestRun`.
    """

    def __init__(self, order: RunOrder, recording_id: str) -> None:
        with ExitStack() as begun:
            for lock in _locks(order, recording_id):
                begun.enter_context(_hold(lock, recording_id))
            super().__init__(order)
            self._held = begun.pop_all()

    def finish(self) -> RunMade:
        """Ends it, lets the recording go, and returns what it came to; raises StorageFull."""
        with self._held:
            return super().finish()

    def abandon(self) -> None:
        """Ends it before it is done, and lets the recording go."""
        with self._held:
            super().abandon()


def _locks(order: RunOrder, recording_id: str) -> tuple[Path, Path]:
    log = order.telemetry_log
    return order.output.folder / f".{recording_id}.lock", log.with_name(f".{log.name}.lock")


@contextmanager
def _hold(path: Path, recording_id: str) -> Iterator[None]:
    with _lock(path, recording_id):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(path: Path, recording_id: str) -> TextIO:
    """Returns a file that is locked, made if need be; raises RecordingBusy."""
    while True:
        with naming_storage_trouble(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise RecordingBusy(
                "another run is at work on this recording",
                recording_id,
                "Let that end, then run again",
            ) from error
        if _is_at(path, lock):
            return lock
        lock.close()  # whoever held it has removed it since it was opened


def _is_at(path: Path, lock: TextIO) -> bool:
    """Tells whether an open file still is what its path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False
