"""Files that are locked while somebody needs them, in a folder that all users of a host share.

The kernel releases a lock when the last process that has the file open ends, however it ends. So
nothing here expires, and nothing has to be cleaned up. What stands in a file only informs: nobody
trusts it to be there or to make sense.
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
from badc_core.locks import try_lock, try_lock_file, unlock

FOLDER_VARIABLE = "BADC_LEASE_DIR"
_USUAL_FOLDER = Path("/run/lock")
# Not tempfile.gettempdir(): TMPDIR differs between users, who must meet in one folder.
_OTHER_FOLDER = Path("/tmp")  # noqa: S108
_NAME = "badc-leases"
_MUTEX = "mutex.lock"
_ASIDE = ".new-"
_LONGEST_WAIT_S = 10.0
_POLL_S = 0.001
_MOST_BYTES = 65_536
_LONGEST_TEXT = 200
_LARGEST_NUMBER = 2**31


def lease_folder(chosen: str | Path | None = None) -> Path:
    """Returns this host's part of the lease folder, made where it is missing.

    Args:
        chosen: the folder; None for what BADC_LEASE_DIR says, or the machine's usual one.

    Raises:
        ConfigInvalid: it cannot be made or written to.
    """
    given = chosen or os.environ.get(FOLDER_VARIABLE)
    folder = (Path(given) if given else _usual_folder()) / _host_name()
    try:
        for each in (folder.parent, folder):
            make_folder(each)
            if not os.access(each, os.W_OK | os.X_OK):
                raise PermissionError(0, "you may not write to it")
        os.close(open_shared(folder / _MUTEX))
    except OSError as error:
        raise ConfigInvalid(
            f"leases cannot be kept there: {error.strerror}",
            folder,
            f"Set {FOLDER_VARIABLE} to a folder on a local disk that all users may write to",
        ) from error
    return folder


def _usual_folder() -> Path:
    """Returns the same folder to every user: the mode decides, not what this one may do."""
    try:
        is_for_all = _USUAL_FOLDER.stat().st_mode & stat.S_IWOTH
    except OSError:
        is_for_all = False
    return (_USUAL_FOLDER if is_for_all else _OTHER_FOLDER) / _NAME


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname()).lstrip(".") or "host"


def make_folder(folder: Path) -> None:
    """Makes a folder that all users may write to, unless it is there.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when its mode is right: nobody ever meets one they may not write to.
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=folder.parent))
    try:
        aside.chmod(0o1777)
        aside.rename(folder)
    except OSError:
        aside.rmdir()
        if not folder.is_dir():
            raise


def open_shared(path: Path) -> int:
    """Returns a descriptor of a file that all users may lock; it is made where it is missing.

    Raises:
        OSError: neither can be done.
    """
    while True:
        # Linux refuses O_CREAT on other users' files in sticky folders, so it is for new ones.
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with suppress(FileExistsError):
            return create_shared(path)


def create_shared(path: Path, content: Mapping[str, Any] | None = None) -> int:
    """Returns a descriptor of a new file, which nobody sees before it is as it should be.

    Args:
        path: where it will be.
        content: what it says; with it, the file is locked.

    Raises:
        OSError: it cannot be made, or is there.
    """
    descriptor, aside = tempfile.mkstemp(prefix=_ASIDE, dir=path.parent)
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
def exclusive(folder: Path, longest_wait_s: float | None = None) -> Iterator[None]:
    """Keeps others of the host from fingerprint_inputs about leases meanwhile.

    Args:
        folder: of `lease_folder`.
        longest_wait_s: for those who decide just now; None for many seconds.

    Raises:
        LeasesBusy: somebody keeps this process from it for longer than that.
        OSError: the folder cannot be used.
    """
    wait_s = _LONGEST_WAIT_S if longest_wait_s is None else longest_wait_s
    deadline = time.monotonic() + wait_s
    while (descriptor := try_lock_file(folder / _MUTEX, open_shared)) is None:
        if time.monotonic() > deadline:
            raise LeasesBusy(
                f"another process has kept it locked for {wait_s:g} s",
                folder / _MUTEX,
                "See which: fuser -v FILE; end it if it hangs",
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        unlock(descriptor)


def write_content(descriptor: int, content: Mapping[str, Any]) -> None:
    """Writes what a locked file says, if the disk has room: the lock counts, not the words."""
    n_written = 0
    with suppress(OSError):
        # Written over before it is cut: a full disk has room for what is there already.
        n_written = os.pwrite(descriptor, json.dumps(content).encode(), 0)
    with suppress(OSError):
        os.ftruncate(descriptor, n_written)


def read_content(descriptor: int) -> dict[str, Any]:
    """Returns what a file says; nothing where that cannot be understood."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return {}
    try:
        content = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def told_text(content: Mapping[str, Any], key: str, otherwise: str) -> str:
    """Returns a text that a file tells, on one line and not without end."""
    told = content.get(key)
    if not isinstance(told, str):
        return otherwise
    return "".join(one if one.isprintable() else " " for one in told[:_LONGEST_TEXT])


def told_number(content: Mapping[str, Any], key: str, otherwise: int) -> int:
    """Returns a whole number, not negative, that a file tells."""
    told = content.get(key)
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told < _LARGEST_NUMBER:
        return otherwise
    return told
