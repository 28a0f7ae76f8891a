"""Drops sounds that were fetched for a run, once no run uses them.

A mark for each content in the work folder: its lock says that a run uses the sound, its text that
it was fetched to be dropped. Equal recordings share a content, and so its mark. So a run drops
nothing under another's feet, and what a killed run fetched is dropped by the next. What was here
before stays, and so do results: they are small, and reports want them again. What is fetched is
decided in `fetching.py`.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from badc_core.annexed_files import find_root, lacks_content, read_annex_key
from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.work_folder import ON_CLUSTER, prepare_work_file
from badc_core.errors import ProgramMissing, RepositoryFailed
from badc_core.locks import is_only_lock, lock_file, try_lock_file, unlock
from badc_core.provenance.annex import drop
from badc_core.provenance.repository_state import find_keys

_log = logging.getLogger(__name__)

_SWEPT_AT_ONCE = 50
"""A usual limit is 1,024 open files, and git-annex asks other machines about each."""

_LONGEST_TRANSFER_S = 86_400.0


@dataclass(frozen=True)
class UsedSound:
    """A sound that is used.

    Attributes:
        mark: of its content.
        descriptor: of that file, locked.
    """

    mark: Path
    descriptor: int


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

    def find_marks(self, sounds: Iterable[Path]) -> dict[Path, Path]:
        """Returns sound -> mark, of those whose content a run may drop."""
        keys = {one: read_annex_key(one) for one in sounds}
        without_key = [one for one, key in keys.items() if not key]
        if without_key and self._has_marks():
            keys |= _ask_keys(without_key)
        return {one: self._folder / _name_mark(one, key) for one, key in keys.items() if key}

    def use(self, mark: Path) -> UsedSound:
        """Returns what `release` takes; until then no run drops the content.

        Waits while another run is dropping it.

        Raises:
            StorageFull, OutputUnwritable: there is no place for the file.
        """
        prepare_work_file(self._work_folder, mark)
        return UsedSound(mark, lock_file(mark, shared=True))

    def mark(self, used: UsedSound, sound: Path) -> None:
        """Notes, before a sound is fetched, that it must be dropped after use.

        Raises:
            StorageFull, OutputUnwritable: the note cannot be written.
        """
        if self._drops and sound.is_relative_to(self._root):
            text = os.fsencode(sound.relative_to(self._root))
            with naming_storage_trouble(self._folder):
                # In place, for the lock is that of this file.
                os.pwrite(used.descriptor, text + b"\0", 0)

    def release(self, used: Iterable[UsedSound]) -> None:
        """Ends the use of sounds, and drops those that were fetched and that nobody else uses.

        Args:
            used: what `use` returned.
        """
        unused: list[UsedSound] = []
        for one in used:
            # Where there are no locks, another run may use it.
            if is_only_lock(one.descriptor, if_no_locks=False):
                unused.append(one)
            else:
                unlock(one.descriptor)
        self._drop(unused)

    def sweep(self) -> None:
        """Drops what killed runs fetched, and leaves what may still be arriving to a later run."""
        if not self._drops or not self._folder.is_dir():
            return
        if any((self._work_folder / ON_CLUSTER).glob("*")):
            return  # no lock of this machine says what tasks read
        marks = sorted(self._folder.iterdir())
        for start in range(0, len(marks), _SWEPT_AT_ONCE):
            some = marks[start : start + _SWEPT_AT_ONCE]
            found = {path: try_lock_file(path) for path in some}
            unused = [UsedSound(path, one) for path, one in found.items() if one is not None]
            arriving = {one for one in unused if self._may_be_arriving(one)}
            for one in arriving:
                unlock(one.descriptor)
            here = [one for one in unused if one not in arriving]
            self.release(here)
            if here and all(one.mark.exists() for one in here):
                return  # nowhere else are they now, so each would be refused

    @contextmanager
    def keeping(self, sounds: Iterable[Path]) -> Iterator[None]:
        """Keeps sounds that steps fetch until the block ends, for the steps after them."""
        used: list[UsedSound] = []
        try:
            self.sweep()
            for mark in set(self.find_marks(sounds).values()):
                used.append(self.use(mark))  # noqa: PERF401  (released too if one fails)
            yield
        finally:
            self.release(used)

    def _has_marks(self) -> bool:
        """Returns whether any content may be dropped, without which git need not be asked."""
        return self._folder.is_dir() and any(self._folder.iterdir())

    def _read_sound(self, used: UsedSound) -> Path | None:
        """Returns the sound that was fetched to be dropped; None where none was."""
        # Of two equal recordings the shorter name may lie over the longer one.
        text = os.fsdecode(os.pread(used.descriptor, 1 << 16, 0).partition(b"\0")[0])
        return self._root / text if text else None

    def _may_be_arriving(self, used: UsedSound) -> bool:
        """Returns whether the git-annex of a run that was killed may still be fetching a sound."""
        sound = self._read_sound(used)
        if sound is None or not lacks_content(sound):
            return False
        return time.time() - os.fstat(used.descriptor).st_mtime < _LONGEST_TRANSFER_S

    def _drop(self, unused: Iterable[UsedSound]) -> None:
        """Drops the sounds of marks that are locked by us alone, and unlocks those."""
        marked = {one: self._read_sound(one) for one in unused}
        now = self.find_marks(one for one in marked.values() if one is not None)
        # Another content that came to be there since, as by `git pull`, is the user's.
        wanted = {
            one: sound
            for one, sound in marked.items()
            if sound is not None and now.get(sound) == one.mark
        }
        refused = drop(wanted.values()) if self._drops and wanted else {}
        self._warn(refused)
        for one in marked:
            if one not in wanted or (self._drops and wanted[one] not in refused):
                one.mark.unlink(missing_ok=True)
            unlock(one.descriptor)

    def _warn(self, refused: Mapping[Path, str]) -> None:
        if refused and not self._has_warned:
            self._has_warned = True
            path, why = next(iter(refused.items()))
            _log.warning("not dropped after use: %s (%s)", path, why)


def _name_mark(sound: Path, key: str) -> str:
    """Returns the name of a content's mark; the same content in another repository has its own."""
    text = f"{find_root(sound.parent.resolve())}\0{key}"
    return blake2b(os.fsencode(text), digest_size=16).hexdigest()


def _ask_keys(sounds: Iterable[Path]) -> dict[Path, str]:
    try:
        return find_keys(sounds)
    except (ProgramMissing, RepositoryFailed) as error:
        _log.debug("nothing of it can be dropped here: %s", error)
        return {}
