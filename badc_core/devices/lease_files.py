"""The lease folder, which all users of a host share, and the files in it.

A file counts while a process has it locked (`locks.py`). Its content only informs people: it may
be missing, or make no sense.
"""

import json
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from badc_core.errors import ConfigInvalid, LeasesBusy
from badc_core.json_texts import parse_object
from badc_core.locks import try_lock, try_lock_file, unlock
from badc_core.shared_folders import TEMPORARY, make_shared_folder

FOLDER_VARIABLE = "BADC_LEASE_DIR"
_USUAL_FOLDER = Path("/run/lock")
# Not tempfile.gettempdir(): TMPDIR differs between users, who must meet in one folder.
_OTHER_FOLDER = Path("/tmp")  # noqa: S108
_NAME = "badc-leases"
_MUTEX = "mutex.lock"
_MAX_WAIT_S = 10.0
_POLL_S = 0.001
_MAX_BYTES = 65_536


def lease_folder(chosen: str | Path | None = None) -> Path:
    """Returns this host's part of the lease folder, created if missing.

    Args:
        chosen: the folder; None for BADC_LEASE_DIR, or the machine's usual one.

    Raises:
        ConfigInvalid: it cannot be created or written to.
    """
    given = chosen or os.environ.get(FOLDER_VARIABLE)
    folder = (Path(given) if given else _usual_folder()) / _host_name()
    try:
        for each in (folder.parent, folder):
            make_folder(each)
            if not os.access(each, os.W_OK | os.X_OK):
                raise PermissionError(0, "no permission to write to it")
        os.close(open_shared(folder / _MUTEX))
    except OSError as error:
        raise ConfigInvalid(
            f"this folder cannot hold leases: {error.strerror}",
            folder,
            f"Set {FOLDER_VARIABLE} to a folder on a local disk that all users may write to",
        ) from error
    return folder


def _usual_folder() -> Path:
    """Returns the same folder to every user: its mode decides, not this user's permissions."""
    try:
        is_for_all = _USUAL_FOLDER.stat().st_mode & stat.S_IWOTH
    except OSError:
        is_for_all = False
    return (_USUAL_FOLDER if is_for_all else _OTHER_FOLDER) / _NAME


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname()).lstrip(".") or "host"


def make_folder(folder: Path) -> None:
    """Creates a folder that all users may write to, if it is missing.

    Raises:
        OSError: it cannot be created.
    """
    make_shared_folder(folder, 0o1777)


def open_shared(path: Path) -> int:
    """Returns a descriptor of a file that all users may lock, created if missing.

    Raises:
        OSError: it cannot be opened or created.
    """
    while True:
        # Linux refuses O_CREAT on other users' files in sticky folders, so it is for new ones.
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with suppress(FileExistsError):
            return create_shared(path)


def create_shared(path: Path, content: Mapping[str, Any] | None = None) -> int:
    """Returns a descriptor of a new file, which appears at its path complete.

    Args:
        path: of the new file.
        content: what to write into it; a file with content is locked.

    Raises:
        OSError: it cannot be created, or exists.
    """
    descriptor, aside = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        os.fchmod(descriptor, 0o666)
        if content is not None:
            try_lock(descriptor)
            write_content(descriptor, content)
        os.link(aside, path)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        Path(aside).unlink()
    return descriptor


@contextmanager
def exclusive(folder: Path, max_wait_s: float | None = None) -> Iterator[None]:
    """Keeps other processes of the host from reading or changing leases until the block ends.

    Args:
        folder: from `lease_folder`.
        max_wait_s: how long to wait for another process; None for 10 s.

    Raises:
        LeasesBusy: another process has the lock for longer than that.
        OSError: the folder cannot be used.
    """
    wait_s = _MAX_WAIT_S if max_wait_s is None else max_wait_s
    deadline = time.monotonic() + wait_s
    while (descriptor := try_lock_file(folder / _MUTEX, open_shared)) is None:
        if time.monotonic() > deadline:
            raise LeasesBusy(
                f"another process has had this file locked for {wait_s:g} s",
                folder / _MUTEX,
                "Find it with fuser -v FILE, and end it if it hangs",
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        unlock(descriptor)


def write_content(descriptor: int, content: Mapping[str, Any]) -> None:
    """Writes the content of a locked file if the disk has room; the lock counts either way."""
    n_written = 0
    with suppress(OSError):
        # Overwritten, then cut: a full disk has room for the bytes that are there already.
        n_written = os.pwrite(descriptor, json.dumps(content).encode(), 0)
    with suppress(OSError):
        os.ftruncate(descriptor, n_written)


def read_content(descriptor: int) -> dict[str, Any]:
    """Returns the content of a file; empty if it is not a JSON object."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return {}
    try:
        return parse_object(os.pread(descriptor, _MAX_BYTES, 0))
    except ValueError:
        return {}
