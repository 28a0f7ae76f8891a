"""Recordings in work: one file for each stage and recording, locked while a run is at work on it.

Locked is busy. Present but unlocked is dirty: a run replaced the output, or was about to, and ended
before the asset graph knew; the recording is due, whatever its fingerprint says. Locks are the
kernel's, so a process that dies leaves its recordings dirty, never busy. On a file system without
locks everything works except that nothing keeps two runs apart, which is logged once.
"""

import errno
import fcntl
import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.errors import RecordingBusy

_log = logging.getLogger(__name__)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


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
            os.close(self._descriptor)
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

    def begin(self, stage: str, recording_id: str) -> RecordingWork:
        """Marks a recording as in work, before anything of it is read or written.

        Raises:
            RecordingBusy: another run is at work on it. To wait for that could be to wait for a
                run that waits for this one.
            StorageFull, OutputUnwritable: there is no place for the file, nor would be for results.
        """
        path = self._path(stage, recording_id)
        return RecordingWork(path, self._lock(path, recording_id))

    def mark_dirty(self, stage: str, recording_id: str) -> None:
        """Marks a recording's output as damaged, so that it will be made again."""
        path = self._path(stage, recording_id)
        self._make_folder(path.parent)
        path.touch()

    def is_dirty(self, stage: str, recording_id: str) -> bool:
        """Whether a recording's output is not to be trusted, or is in work."""
        return self._path(stage, recording_id).exists()

    def dirty(self, stage: str) -> set[str]:
        """Returns the recordings whose output is not to be trusted, those in work included."""
        with suppress(FileNotFoundError):
            return set(os.listdir(self.folder / "work" / stage))  # noqa: PTH208
        return set()

    def journal(self, recording_id: str) -> Path:
        """Where a recording's chunks are written down while it is being analysed."""
        return self.folder / "journals" / f"{recording_id}.jsonl"

    def _path(self, stage: str, recording_id: str) -> Path:
        return self.folder / "work" / stage / recording_id

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")

    def _lock(self, path: Path, recording_id: str) -> int:
        """Returns the descriptor of the file, created where needed and locked."""
        while True:
            with naming_storage_trouble(path):
                self._make_folder(path.parent)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(descriptor)
                raise RecordingBusy(
                    "another run is at work on this recording",
                    recording_id,
                    "Let that end, then run again",
                ) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(descriptor)
                    raise
                _warn_of_no_locks(path.parent)
            if _is_at(path, descriptor):
                return descriptor
            os.close(descriptor)  # a run that was at work on it has removed it since it was opened


@cache
def _warn_of_no_locks(folder: Path) -> None:
    _log.warning(
        "%s: this file system has no locks, so nothing keeps two runs from the same recording. "
        "Set work.folder to a folder on a local disk",
        folder,
    )


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still is what its path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
