"""The file of an archive: a tar, packed by gzip, with a list of the SHA-256 of every file in it.

What goes into it is decided in `archive_contents.py`. At its end are two files that the job's
folder does not have: the list, which `sha256sum --check` reads where the archive was unpacked, and
a record that replaces the one that says that the files were removed.
"""

import gzip
import hashlib
import os
import tarfile
import time
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from badc_core.errors import ArchiveInvalid
from badc_core.hashing import sha256_file
from badc_core.jobs.archive_contents import ArchivedContent, Entry, Member, changed
from badc_core.jobs.finding import naming_unreadable
from badc_core.secret_values import Secrets

_BLOCK_BYTES = 1 << 20
_QUICKEST = 1

Members = dict[str, Member]


class Additions(NamedTuple):
    """What is added to the files of a job.

    Attributes:
        sums_name: the name of the list.
        record_name: the name of the record.
        record: its content.
    """

    sums_name: str
    record_name: str
    record: bytes = b""


def write_archive(
    path: Path, additions: Additions, entries: Iterable[Entry], secrets: Secrets
) -> tuple[str, Members]:
    """Writes an archive, reads it back, and returns its SHA-256 and what is in it.

    Args:
        path: a new file.
        additions: what else goes into it.
        entries: what goes into it.
        secrets: must not get into it.

    Raises:
        OSError: it cannot be written.
        JobUnknown: something cannot be read.
        JobBusy: a file changes meanwhile.
        ArchiveInvalid: what was written is not what can be read.
    """
    members: Members = {}
    with path.open("xb") as file:
        hashing = _Hashing(file)
        with (
            gzip.GzipFile("", "wb", _QUICKEST, hashing) as packed,
            tarfile.open(mode="w|", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
        ):
            for entry in entries:
                _add(tar, entry, secrets, members)
            sums = write_sums(members)
            for name, content in (
                (additions.sums_name, sums),
                (additions.record_name, additions.record),
            ):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), int(time.time())
                tar.addfile(info, BytesIO(content))
        file.flush()
        os.fsync(file.fileno())
    if read_archive(path, additions) != members or sha256_file(path) != hashing.sha256():
        raise ArchiveInvalid("is not what was written to it", path, "Check the disk it is on")
    return hashing.sha256(), members


def read_archive(path: Path, additions: Additions) -> Members:
    """Returns what of a job is in an archive, after reading every byte of it.

    Raises:
        ArchiveInvalid: it is damaged, or no archive of this job.
    """
    try:
        members, sums = _read(path, additions)
    except (OSError, EOFError, ValueError, KeyError, tarfile.TarError) as error:
        raise ArchiveInvalid(f"cannot be read back ({error})", path, "Keep the job") from error
    if sums != write_sums(members):
        raise ArchiveInvalid("its list of checksums is not that of its files", path, "Keep the job")
    return members


def write_sums(members: Mapping[str, Member]) -> bytes:
    """Returns the list of files and their SHA-256, as `sha256sum` reads it."""
    lines = []
    for name, member in sorted(members.items()):
        if member.kind == "file":
            raw = os.fsencode(name)
            escaped = raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
            mark = b"\\" if escaped != raw else b""
            # Relative to the folder that the archive is unpacked in.
            lines.append(mark + member.content.encode() + b"  " + escaped + b"\n")
    return b"".join(lines)


def _add(tar: tarfile.TarFile, entry: Entry, secrets: Secrets, members: Members) -> None:
    """Adds a file, folder or link; a socket, which nothing could be read from, is left out."""
    with naming_unreadable(entry.path):
        info = tar.gettarinfo(str(entry.path), entry.name)
    if info is None:
        return
    if not info.isreg():
        tar.addfile(info)
        members[entry.name] = _member(info, members)
        return
    with ArchivedContent(entry, secrets) as content:
        info.size = content.size_bytes
        try:
            tar.addfile(info, content)
        except OSError as error:
            if error.errno is None:  # shorter than it was
                raise changed(entry.path) from error
            raise
        members[entry.name] = Member("file", content.sha256())


def _member(info: tarfile.TarInfo, members: Members) -> Member:
    if info.islnk():  # another name of a file before
        return members[info.linkname]
    if info.issym():
        return Member("link", info.linkname)
    return Member("folder" if info.isdir() else "other")


def _read(path: Path, additions: Additions) -> tuple[Members, bytes]:
    members: Members = {}
    sums = b""
    with gzip.open(path, "rb") as packed, tarfile.open(mode="r|", fileobj=packed) as tar:
        for info in tar:
            if not info.isreg():
                members[info.name] = _member(info, members)
                continue
            file = tar.extractfile(info)
            if file is None:
                raise ValueError(f"{info.name} has no content")
            if info.name == additions.sums_name:
                sums = file.read()
            elif info.name != additions.record_name:
                members[info.name] = Member("file", _hash(file))
        while packed.read(_BLOCK_BYTES):  # to the checksum of gzip at its end
            pass
    return members, sums


def _hash(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while content := file.read(_BLOCK_BYTES):
        digest.update(content)
    return digest.hexdigest()


class _Hashing:
    """A file that is written to, and hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def sha256(self) -> str:
        return self._digest.hexdigest()
