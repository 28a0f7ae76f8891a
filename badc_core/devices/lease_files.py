"""Files that are locked while somebody needs them, in a folder that all users of a host share.

The kernel releases a lock when the last process that has the file open ends, however it ends. So
nothing here expires, and nothing has to be cleaned up. What stands in a file only informs.
"""

import fcntl
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from badc_core.errors import ConfigInvalid, LeasesBusy

FOLDER_VARIABLE = "BADC_LEASE_DIR"
_USUAL_FOLDER = Path("/run/lock")
_NAME = "badc-leases"
_MUTEX = "mutex.lock"
_LONGEST_WAIT_S = 10.0
_POLL_S = 0.001
_MOST_BYTES = 4096


def lease_folder(chosen: str | Path | None = None) -> Path:
    """Returns this host's part of the lease folder, made where it is missing.

    Args:
        chosen: the folder; None for what BADC_LEASE_DIR says, or the machine's usual one.

    Raises:
        ConfigInvalid: it cannot be made or written to.
    """
    given = chosen or os.environ.get(FOLDER_VARIABLE)
    is_usual_there = os.access(_USUAL_FOLDER, os.W_OK)
    usual = (_USUAL_FOLDER if is_usual_there else Path(tempfile.gettempdir())) / _NAME
    folder = (Path(given) if given else usual) / socket.gethostname()
    try:
        for each in (folder.parent, folder):
            _make_shared(each)
    except OSError as error:
        raise ConfigInvalid(
            f"leases cannot be kept there: {error.strerror}",
            folder,
            f"Set {FOLDER_VARIABLE} to a folder on a local disk that all users may write to",
        ) from error
    return folder


def _make_shared(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(0, "you may not write to it")


def open_shared(path: Path) -> int:
    """Returns a descriptor of a file that all users may lock; it is made where it is missing.

    Raises:
        OSError: neither can be done.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        # Linux refuses O_CREAT on other users' files in sticky folders, so it is for new ones.
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor


def try_lock(descriptor: int) -> bool:
    """Takes the lock of an open file if nobody holds it; tells whether that worked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps others of the host from deciding about leases meanwhile.

    Raises:
        LeasesBusy: somebody keeps this process from it for many seconds.
    """
    descriptor = open_shared(folder / _MUTEX)
    try:
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise LeasesBusy(
                    f"another process has kept it locked for {_LONGEST_WAIT_S:g} s",
                    folder / _MUTEX,
                    "See which: fuser -v FILE; end it if it hangs",
                )
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def write_content(descriptor: int, content: Mapping[str, Any]) -> None:
    """Writes what a locked file says."""
    line = json.dumps(content).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, line, 0)


def read_content(descriptor: int) -> dict[str, Any]:
    """Returns what a file says; nothing where that cannot be understood."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return {}
    try:
        content = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
