"""Keeping a telemetry log to one run: two that analyse the same manifest would mix up its summary.

Locks themselves are in `badc_core/locks.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from badc_core.datasets.work_folder import WORK_FOLDER, prepare_work_file
from badc_core.locks import try_lock_file, unlock
from badc_core.stages.work import recording_busy
from badc_core.telemetry.live import lock_path


@contextmanager
def exclusive_log(log: Path, recording_id: str) -> Iterator[None]:
    """Keeps a telemetry log to this run until the block ends.

    Raises:
        RecordingBusy: another run writes it.
        StorageFull, OutputUnwritable: there is no place for the lock, nor would be for the log.
    """
    lock = lock_path(log)
    descriptor = try_lock_file(prepare_work_file(log.with_name(WORK_FOLDER), lock))
    if descriptor is None:
        raise recording_busy(recording_id)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        unlock(descriptor)
