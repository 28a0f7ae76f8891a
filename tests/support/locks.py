"""Files that processes hold by the kernel's locks."""

import errno
import fcntl
from pathlib import Path


def refuse_locks(*_: object) -> None:
    """Fails as `fcntl.flock` does on a file system without locks."""
    raise OSError(errno.ENOLCK, "No locks available")


def is_locked(path: Path) -> bool:
    """Tells whether somebody holds a file; it is let go of at once where nobody did."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
