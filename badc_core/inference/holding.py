"""Keeping a recording to one of the runs that a dataset has at the same time.

Held are what two runs would spoil for each other: the folder of a recording's results, and its
telemetry log with the summary beside. Locks are the kernel's: a process that dies lets them go.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from badc_core.atomic import naming_storage_trouble
from badc_core.dataset import InferencePaths
from badc_core.errors import RecordingBusy
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.run_order import RunMade, RunOrder


class HeldRun(ManifestRun):
    """The run of recordings that no other run is at work on, until this one ends.

    What is there of the recordings is looked up once they are held.

    Args:
        order: what is to be run.
        recording_ids: whose chunks the manifests have.
        is_own_log: whether no other run may write its telemetry log either.

    Raises:
        RecordingBusy: another run is at work on one. To wait for that could be to wait for a run
            that waits for this one.
        StorageFull, OutputUnwritable: there is no place for the locks, nor would be for results.
        ManifestMismatch, DatasetInvalid, ConfigInvalid, DetectorMissing: as for `ManifestRun`.
    """

    def __init__(
        self, order: RunOrder, recording_ids: Iterable[str], *, is_own_log: bool = False
    ) -> None:
        with ExitStack() as begun:
            for recording_id in recording_ids:
                begun.enter_context(hold_recording(order.output, recording_id))
                if is_own_log:
                    log = order.telemetry_log
                    begun.enter_context(_hold(log.with_name(f".{log.name}.lock"), recording_id))
            super().__init__(order)
            self._held = begun.pop_all()

    def finish(self) -> RunMade:
        """Ends it, lets the recordings go, and returns what it came to; raises StorageFull."""
        with self._held:
            return super().finish()

    def abandon(self) -> None:
        """Ends it before it is done, and lets the recordings go."""
        with self._held:
            super().abandon()


def hold_recording(output: InferencePaths, recording_id: str) -> AbstractContextManager[None]:
    """Keeps a recording's results below a folder to this run, until the context ends.

    Entering it raises RecordingBusy, StorageFull or OutputUnwritable.
    """
    return _hold(output.lock(recording_id), recording_id)


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
