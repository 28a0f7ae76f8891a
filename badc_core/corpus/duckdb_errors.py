"""Errors of DuckDB that are really those of a disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

_REFUSALS = (errno.EACCES, errno.EROFS)
_DISK_FULL = ("No space left", "Disk quota exceeded", "wrote=", "Could not write all bytes")


@contextmanager
def naming_duckdb_trouble(path: Path) -> Iterator[None]:
    """Turns DuckDB's errors of a database that cannot be written into the system's.

    Raises:
        OSError: the disk is full or broken, or the folder cannot be written to.
    """
    try:
        yield
    except duckdb.Error as error:
        if is_disk_full(error):
            number = errno.ENOSPC
        elif isinstance(error, duckdb.FatalException) or path.name in str(error):
            refusals = (one for one in _REFUSALS if os.strerror(one) in str(error))
            number = next(refusals, errno.EIO)
        else:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def is_disk_full(error: duckdb.Error) -> bool:
    """Returns whether DuckDB had no room for a file."""
    return any(words in str(error) for words in _DISK_FULL)
