"""What is in the archive of a job: every file of its folders, without secrets.

Names are those that the files have below the folder of all jobs, so unpacking an archive there puts
everything back. In logs, which programs of all kinds write, secrets are
replaced by `***`; an output with a secret in it is refused, since nobody could say whether it would
still be of use. Writing and reading the file of the archive is in `archive_file.py`.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Literal

from badc_core.errors import JobBusy, OutputUnwritable
from badc_core.jobs.finding import JobFolders, naming_unreadable
from badc_core.jobs.job_states import ARCHIVE_RECORD
from badc_core.jobs.work_lock import WORK_LOCK
from badc_core.secret_values import MaskedStream, Secrets

_NOT_ARCHIVED = frozenset({ARCHIVE_RECORD, WORK_LOCK})
_BLOCK_BYTES = 1 << 20
_DEPTH = 5
"""A job's folder is `YEAR/MONTH/DAY/USER/JOB` below the folder of all outputs, or of all logs."""
_IN_MEMORY_BYTES = 1 << 24

Kind = Literal["file", "folder", "link", "other"]


@dataclass(frozen=True)
class Member:
    """What is at a name of an archive.

    Attributes:
        kind: of it.
        content: SHA-256 of a file; what a link refers to; empty for others.
    """

    kind: Kind
    content: str = ""


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a job.

    Attributes:
        name: in the archive.
        path: on disk.
        is_log: it is below the folder of logs.
    """

    name: str
    path: Path
    is_log: bool

    def describe(self, secrets: Secrets) -> Member:
        """Returns what would be archived of it now.

        Raises:
            JobUnknown: it cannot be read.
            JobBusy: it changes.
            OutputUnwritable: it has a secret in it.
        """
        with naming_unreadable(self.path):
            mode = self.path.lstat().st_mode
            if stat.S_ISLNK(mode):
                return Member("link", os.readlink(self.path))  # noqa: PTH115  (as it is)
        if stat.S_ISDIR(mode):
            return Member("folder")
        if not stat.S_ISREG(mode):
            return Member("other")
        with ArchivedContent(self, secrets) as content:
            while content.read(_BLOCK_BYTES):
                pass
            return Member("file", content.sha256())


class ArchivedContent:
    """The bytes of a file as they are archived; use as a context manager.

    Attributes:
        size_bytes: how many there are.

    Raises:
        JobUnknown: it cannot be opened.
    """

    def __init__(self, entry: Entry, secrets: Secrets) -> None:
        self._entry = entry
        self._secrets = secrets
        self._digest = hashlib.sha256()
        self._end = b""
        with naming_unreadable(entry.path):
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._original = os.fdopen(descriptor, "rb")
        self._before = os.fstat(descriptor)
        self._file: IO[bytes] = self._original
        self.size_bytes = self._before.st_size
        if entry.is_log:
            try:
                self._file = self._masked()
            except BaseException:
                self._original.close()
                raise

    def __enter__(self) -> "ArchivedContent":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._original.close()

    def read(self, n_bytes: int = -1) -> bytes:
        """Returns the next bytes.

        Raises:
            JobUnknown: they cannot be read.
            OutputUnwritable: there is a secret in them.
        """
        with naming_unreadable(self._entry.path):
            content = self._file.read(n_bytes)
        self._digest.update(content)
        around = self._end + content
        if not self._entry.is_log and self._secrets.are_in(around):
            raise OutputUnwritable(
                "has a secret of the job's settings in it, which must not be archived",
                self._entry.path,
                "Remove the secret there, then archive the job again",
            )
        self._end = around[-self._secrets.longest_bytes :] if self._secrets.longest_bytes else b""
        return content

    def sha256(self) -> str:
        """Returns the SHA-256 of what was read, which is all of it.

        Raises:
            JobBusy: the file has changed meanwhile.
        """
        after = os.fstat(self._original.fileno())
        states = [(one.st_size, one.st_mtime_ns) for one in (self._before, after)]
        if states[0] != states[1] or self._file.read(1):
            raise changed(self._entry.path)
        return self._digest.hexdigest()

    def _masked(self) -> IO[bytes]:
        """Returns the bytes of a log without secrets."""
        copy = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  (closed with this object)
        stream = MaskedStream(self._secrets)
        while block := self._original.read(_BLOCK_BYTES):
            copy.write(stream.add(block))
        copy.write(stream.end())
        self.size_bytes = copy.tell()
        copy.seek(0)
        return copy


def changed(path: Path) -> JobBusy:
    """Returns the error of a file that changes while it is archived."""
    return JobBusy("has changed while it was read", path, "Wait until the job is over")


def list_entries(job: JobFolders) -> Iterator[Entry]:
    """Yields everything in the folders of a job; a folder before what is in it.

    Raises:
        JobUnknown: a folder cannot be read.
    """
    for root, is_log in ((job.output_dir, False), (job.log_dir, True)):
        if root.is_dir():
            name = name_in_archive(root, "logs" if is_log else "out")
            yield Entry(name, root, is_log)
            yield from _below(root, name, is_log)


def name_in_archive(path: Path, root: str) -> str:
    """Returns the name of a job's folder, or of what is beside it, in an archive.

    Args:
        path: of the folder.
        root: what the folder of all outputs, or of all logs, is called there.
    """
    return "/".join((root, *path.parts[-_DEPTH:]))


def _below(folder: Path, name: str, is_log: bool) -> Iterator[Entry]:
    with naming_unreadable(folder), os.scandir(folder) as entries:
        found = sorted(entries, key=lambda one: one.name)
    is_of_job = name.count("/") == _DEPTH
    for one in found:
        if is_of_job and one.name in _NOT_ARCHIVED:
            continue
        yield Entry(f"{name}/{one.name}", folder / one.name, is_log)
        if one.is_dir(follow_symlinks=False):
            yield from _below(folder / one.name, f"{name}/{one.name}", is_log)
