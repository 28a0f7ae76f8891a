"""The logs of a job: finding those of a stage, reading them, and following them as they grow."""

import codecs
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from badc_core.jobs.finding import naming_unreadable

_ROTATED = re.compile(r"[.-]\d[\d.T_-]*$")
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_STARTED_AT = r"(_\d[\dTZ_-]*)?"
"""The orchestrator's logs have a time in their names."""
_BLOCK_BYTES = 1 << 16
_POLL_S = 0.5


class LogText(NamedTuple):
    """A piece of a log, which follows the piece before; bytes that are not UTF-8 are replaced."""

    path: Path
    text: str


def find_logs(log_dir: Path, stage: str | None = None) -> list[Path]:
    """Returns the logs of a job, or of a stage of it, the one that was written to first first.

    Raises:
        JobUnknown: the folder cannot be read.
    """
    wanted = re.compile(f"{re.escape(stage)}{_STARTED_AT}([.-].*)?" if stage else r"[^.].*", re.S)
    found: list[tuple[float, Path]] = []
    with naming_unreadable(log_dir), suppress(FileNotFoundError), os.scandir(log_dir) as entries:
        for one in entries:
            name = one.name
            if wanted.fullmatch(name) and not name.endswith(_PACKED) and one.is_file():
                found.append((one.stat().st_mtime, log_dir / name))
    return [path for _, path in sorted(found)]


def stages_with_logs(log_dir: Path) -> list[str]:
    """Returns the stages that have a log.

    Raises:
        JobUnknown: the folder cannot be read.
    """
    names = {one.name.partition(".")[0] for one in find_logs(log_dir)}
    return sorted({re.sub(f"{_STARTED_AT}$", "", one) for one in names})


def read_log(path: Path) -> Iterator[LogText]:
    """Yields a log piece by piece.

    Raises:
        JobUnknown: it cannot be read.
    """
    with naming_unreadable(path):
        tail = _Tail(path)
    try:
        yield from tail.read()
    finally:
        tail.close()


def follow_logs(
    log_dir: Path, stage: str | None, has_ended: Callable[[float], bool], poll_s: float = _POLL_S
) -> Iterator[LogText]:
    """Yields what is in logs and what is added to them, until the job has ended.

    Logs that are rotated are read to their end, and new ones as they come.

    Args:
        log_dir: may come later.
        stage: only its logs; None for all.
        has_ended: is given the seconds without a word; returns whether there will be no more.
        poll_s: seconds between two looks.

    Raises:
        JobUnknown: the folder cannot be read.
    """
    tails: dict[tuple[int, int], _Tail] = {}
    silent_since_s = time.monotonic()
    is_first = True
    try:
        while True:
            is_over = has_ended(time.monotonic() - silent_since_s)
            _open_new(tails, find_logs(log_dir, stage), is_first)
            for tail in tails.values():
                for piece in tail.read():
                    silent_since_s = time.monotonic()
                    yield piece
            if is_over:
                return
            is_first = False
            time.sleep(poll_s)
    finally:
        for tail in tails.values():
            tail.close()


class _Tail:
    """A log that is read on; it stays open, so that its number is not that of another file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._place = 0

    @property
    def key(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def read(self) -> Iterator[LogText]:
        if os.fstat(self._descriptor).st_size < self._place:  # emptied, to be written to again
            self._place = 0
        while content := os.pread(self._descriptor, _BLOCK_BYTES, self._place):
            self._place += len(content)
            if text := self._decoder.decode(content):
                yield LogText(self._path, text)

    def close(self) -> None:
        os.close(self._descriptor)


def _open_new(tails: dict[tuple[int, int], _Tail], logs: list[Path], is_first: bool) -> None:
    for path in logs:
        if not is_first and _is_rotated(path) and not _was_read(tails, path):
            continue  # a copy of what was read already
        try:
            tail = _Tail(path)
        except OSError:  # renamed meanwhile, or not ours to read
            continue
        if tail.key in tails:
            tail.close()
        else:
            tails[tail.key] = tail


def _was_read(tails: dict[tuple[int, int], _Tail], path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) in tails


def _is_rotated(path: Path) -> bool:
    return _ROTATED.search(path.name) is not None and path.suffix != ".log"
