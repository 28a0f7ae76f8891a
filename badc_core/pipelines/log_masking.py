"""Keeping secrets out of the log of a stage's process, which may print its settings."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from badc_core.secret_values import MaskedStream, Secrets

_log = logging.getLogger(__name__)
_BLOCK_BYTES = 1 << 16
_LAST_WORDS_S = 2.0
"""How long to wait for a process that nobody could find, and that still has the log open."""


@contextmanager
def masking(log: int, secrets: Secrets) -> Iterator[tuple[int, int]]:
    """Gives a pipe, its end to read and its end to write to.

    Until the block ends, what is written there is read here, and goes to a log, masked. Whoever
    keeps the other end open lets writers go on after this process was killed.

    Args:
        log: descriptor of the log.
        secrets: that must not get there.

    Raises:
        OSError: the log could not be written.
    """
    readable, writable = os.pipe()
    copying = _Copying(readable, os.dup(log), MaskedStream(secrets))
    copying.start()
    try:
        yield readable, writable
    finally:
        os.close(writable)
        copying.join(_LAST_WORDS_S)
        if copying.is_alive():
            _log.warning(
                "a process of the stage cannot be found, and may still print; what it prints after "
                "this command has ended is not in the log"
            )
    if copying.error is not None:
        raise copying.error


class _Copying(Thread):
    """Copies what comes through a pipe into a log until nobody can write to it any more."""

    def __init__(self, readable: int, log: int, stream: MaskedStream) -> None:
        super().__init__(name="masking a log", daemon=True)
        self.error: OSError | None = None
        self._readable = readable
        self._log = log
        self._stream = stream

    def run(self) -> None:
        try:
            while block := os.read(self._readable, _BLOCK_BYTES):
                self._write(self._stream.add(block))
            self._write(self._stream.end())
        finally:
            os.close(self._readable)
            os.close(self._log)

    def _write(self, content: bytes) -> None:
        """Writes to the log; after an error all else is read and lost, so that nobody waits."""
        while content and self.error is None:
            try:
                content = content[os.write(self._log, content) :]
            except OSError as error:
                self.error = error
