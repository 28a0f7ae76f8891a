"""Fetches the contents that recordings need and lack, a few recordings ahead of whoever uses them.

One thread starts one git-annex for some recordings, which transfers several files at once; so
whoever works on a recording waits for a few others at most. Where every content is here no program
is started. What is dropped after is decided in `dropping.py`.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Self

from badc_core.annexed_files import content_missing, lacks_content
from badc_core.errors import BadcError, ProgramMissing, RepositoryFailed
from badc_core.locks import unlock
from badc_core.provenance.annex import fetch, find_repository
from badc_core.provenance.dropping import FetchedSounds, UsedSound

_log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Recordings in one call of git-annex: its start takes as long as the transfer of a short one."""


@dataclass(frozen=True)
class Needed:
    """The files that the work on one recording needs.

    Attributes:
        name: recording_id.
        files: that are read; those that are not there at all are for their reader to judge.
        sound: returns the recording's audio file, once `files` are here; None if it has none.
        useful: files that save work, which can be done without them.
        requires_sound: whether the work cannot be done without the sound.
    """

    name: str
    files: Sequence[Path] = ()
    sound: Callable[[], Path | None] = lambda: None
    useful: Sequence[Path] = ()
    requires_sound: bool = True


def require_fetched_all(paths: Iterable[Path]) -> None:
    """Returns once the contents of files are here.

    Raises:
        ContentMissing: one could not be fetched.
    """
    for path, why in fetch(paths).items():
        raise content_missing(path, why)


def fetch_removed(path: Path) -> bool:
    """Puts a file back that git tracks and that is gone, if its content can be had.

    `datalad rerun` removes outputs whose content is not here before it runs the command.

    Returns:
        Whether it was gone and is there again.
    """
    if os.path.lexists(path):
        return False
    with suppress(ProgramMissing, RepositoryFailed, OSError):  # such as: git does not track it
        real = path.parent.resolve() / path.name
        repository = find_repository(real.parent)
        if repository is not None:
            below = real.relative_to(repository.root).as_posix()
            # Unlike `checkout` it takes no patterns, and no folders.
            repository.git("checkout-index", "--index", "--quiet", "--", below)
            if path in fetch([path]):
                path.unlink()
    return os.path.lexists(path)


class Fetcher:
    """Fetches for recordings in the order given; use as a context manager.

    Args:
        needs: of the recordings, in the order in which they are worked on.
        sounds: of the dataset, which the fetched ones are dropped through; None where they stay.
    """

    def __init__(self, needs: Sequence[Needed], sounds: FetchedSounds | None) -> None:
        self._batches = [needs[at : at + _AT_ONCE] for at in range(0, len(needs), _AT_ONCE)]
        self._number = {one.name: at // _AT_ONCE for at, one in enumerate(needs)}
        self._sounds = sounds
        self._thread = ThreadPoolExecutor(1, "fetching")
        self._started: dict[int, Future[dict[str, BadcError]]] = {}
        self._used: dict[str, UsedSound] = {}
        self._released: list[UsedSound] = []
        self._lock = Lock()
        self._unneeded = Event()
        self._has_warned = False

    def __enter__(self) -> Self:
        if self._sounds is not None:
            self._sounds.sweep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_waiting()
        self._thread.shutdown(cancel_futures=True)
        with self._lock:
            left = [*self._released, *self._used.values()]
            self._released, self._used = [], {}
        self._release(left)

    def stop_waiting(self) -> None:
        """Fetches nothing more, and waits no longer for other programs: nobody needs more."""
        self._unneeded.set()

    def keep(self) -> None:
        """Leaves sounds where they are: another machine still reads them."""
        with self._lock:
            used = [*self._released, *self._used.values()]
            self._released, self._used = [], {}
        for one in used:
            unlock(one.descriptor)

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Waits until a recording's contents are here, and keeps its sound until the block ends.

        Raises:
            ContentMissing: one could not be fetched.
            StorageFull, OutputUnwritable: there is no place for the notes on what is used.
        """
        number = self._number[name]
        batch, _ = self._start(number), self._start(number + 1)
        try:
            failed = batch.result()
            if name in failed:
                raise failed[name]
            yield
        finally:
            self._end_use(name)

    def _start(self, number: int) -> Future[dict[str, BadcError]]:
        """Returns the batch's failures, as soon as they are known."""
        with self._lock:
            if number not in self._started:
                batch = self._batches[number] if number < len(self._batches) else []
                self._started[number] = self._thread.submit(self._fetch_batch, batch)
            return self._started[number]

    def _fetch_batch(self, batch: Sequence[Needed]) -> dict[str, BadcError]:
        """Gets what recordings lack; returns why by the names of those for which it failed."""
        failed: dict[str, BadcError] = {}
        files = [path for one in batch for path in (*one.files, *one.useful)]
        not_here = fetch(files, self._unneeded)
        for one in batch:
            self._judge_files(one, not_here, failed)
        found = {one.name: one.sound() for one in batch if one.name not in failed}
        sounds = {name: sound for name, sound in found.items() if sound is not None}
        marks = self._sounds.find_marks(sounds.values()) if self._sounds else {}
        lacking = {
            name: sound
            for name, sound in sounds.items()
            if self._is_lacking(name, sound, marks.get(sound), failed)
        }
        not_here = fetch(lacking.values(), self._unneeded)
        for one in batch:
            sound = lacking.get(one.name)
            if sound in not_here:
                self._judge_sound(one, content_missing(sound, not_here[sound]), failed)
        return failed

    def _judge_files(
        self, one: Needed, not_here: dict[Path, str], failed: dict[str, BadcError]
    ) -> None:
        """Enters a recording of whose files one could not be fetched."""
        for path in one.files:
            if path in not_here:
                failed.setdefault(one.name, content_missing(path, not_here[path]))
        for path in one.useful:
            if path in not_here and not self._unneeded.is_set():
                error = content_missing(path, not_here[path])
                _log.warning("%s, so that work is done again", error)

    def _judge_sound(self, one: Needed, error: BadcError, failed: dict[str, BadcError]) -> None:
        """Enters a recording whose sound could not be fetched; warns once if it is only shown."""
        if one.requires_sound:
            failed[one.name] = error
        elif not (self._has_warned or self._unneeded.is_set()):
            self._has_warned = True
            _log.warning("going on without a sound: %s", error)

    def _is_lacking(
        self, name: str, path: Path, mark: Path | None, failed: dict[str, BadcError]
    ) -> bool:
        """Returns whether a sound must be fetched; from here on no run drops it."""
        if self._sounds is None or mark is None:
            return lacks_content(path)
        try:
            used = self._sounds.use(mark)
            with self._lock:
                self._used[name] = used
            if not lacks_content(path):
                return False
            self._sounds.mark(used, path)
        except BadcError as error:
            failed[name] = error
            return False
        return True

    def _end_use(self, name: str) -> None:
        with self._lock:
            if name not in self._used:
                return
            self._released.append(self._used.pop(name))
            self._thread.submit(self._release_some)

    def _release_some(self) -> None:
        with self._lock:
            released, self._released = self._released, []
        self._release(released)

    def _release(self, used: list[UsedSound]) -> None:
        if self._sounds is not None and used:
            self._sounds.release(used)
