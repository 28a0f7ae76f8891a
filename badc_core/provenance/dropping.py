"""Drops sounds that were fetched for a run, once no run uses them.

A file for each recording in the work folder: its lock says that a run uses the sound, its content
that it was fetched to be dropped. So a run drops nothing under another's feet, and what a killed
run fetched is dropped by the next. What was here before stays, and so do results: they are small,
and reports want them again. What is fetched is decided in `fetching.py`.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.locks import lock_file, try_lock, try_lock_file, unlock
from badc_core.provenance.annex import drop

_log = logging.getLogger(__name__)


class FetchedSounds:
    """The sounds of one dataset that runs use, and those to be dropped.

    Args:
        root: of the dataset.
        work_folder: of the dataset.
        drops: whether what this run fetched is dropped, and what killed runs left.
    """

    def __init__(self, root: Path, work_folder: Path, drops: bool) -> None:
        self._root = root
        self._work_folder = work_folder
        self._folder = work_folder / "fetched"
        self._drops = drops
        self._has_warned = False

    def use(self, recording_id: str) -> int:
        """Returns what `release` takes; until then no run drops the recording's sound.

        Waits while another run is dropping it.

        Raises:
            StorageFull, OutputUnwritable: there is no place for the file.
        """
        path = prepare_work_file(self._work_folder, self._folder / recording_id)
        return lock_file(path, shared=True)

    def mark(self, used: int, sound: Path) -> None:
        """Notes, before a sound is fetched, that it must be dropped after use.

        Raises:
            StorageFull, OutputUnwritable: the note cannot be written.
        """
        if self._drops and sound.is_relative_to(self._root):
            with naming_storage_trouble(self._folder):
                # In place, for the lock is that of this file.
                os.pwrite(used, os.fsencode(sound.relative_to(self._root)), 0)

    def release(self, used: Mapping[str, int]) -> None:
        """Ends the use of sounds, and drops those that were fetched and that no other run uses.

        Args:
            used: recording_id -> what `use` returned.
        """
        self._drop({name: one for name, one in used.items() if _make_exclusive(one)})

    def sweep(self) -> None:
        """Drops what killed runs fetched."""
        if not self._drops or not self._folder.is_dir():
            return
        found = {path.name: try_lock_file(path) for path in sorted(self._folder.iterdir())}
        self._drop({name: one for name, one in found.items() if one is not None})

    @contextmanager
    def keeping(self, recording_ids: Iterable[str]) -> Iterator[None]:
        """Keeps sounds that steps fetch until the block ends, for the steps after them."""
        used: dict[str, int] = {}
        try:
            if self._drops:
                self.sweep()
                used = {one: self.use(one) for one in recording_ids}
            yield
        finally:
            self.release(used)

    def _drop(self, unused: Mapping[str, int]) -> None:
        """Drops the sounds of files that are locked by us alone, and unlocks those."""
        marked = {name: os.fsdecode(os.pread(one, 1 << 16, 0)) for name, one in unused.items()}
        wanted = {name: self._root / text for name, text in marked.items() if text}
        refused = drop(wanted.values()) if self._drops and wanted else {}
        self._warn(refused)
        for name, one in unused.items():
            if name not in wanted or (self._drops and wanted[name] not in refused):
                (self._folder / name).unlink(missing_ok=True)
            unlock(one)

    def _warn(self, refused: Mapping[Path, str]) -> None:
        if refused and not self._has_warned:
            self._has_warned = True
            path, why = next(iter(refused.items()))
            _log.warning("not dropped after use: %s (%s)", path, why)


def _make_exclusive(used: int) -> bool:
    """Returns whether the one process that uses a sound is this one; else its use has ended."""
    try:
        if try_lock(used):
            return True
    except OSError:
        _log.debug("no locks here, so another run may use it")
    unlock(used)
    return False
