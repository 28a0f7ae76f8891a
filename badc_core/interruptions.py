"""Ending a process by Ctrl-C, SIGTERM or SIGHUP: orderly, and with an exit code that says by which.

Dagster gives the first two one handler of its own while it runs, so which of them came is read from
the bytes that Python writes for every signal.
"""

import os
import signal
import stat
from contextlib import suppress
from types import FrameType
from typing import ClassVar, Self

HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143


class Interruptible:
    """Makes SIGTERM end the block as Ctrl-C does; use as a context manager in the main thread.

    So does SIGHUP, which comes when the terminal is closed, unless `nohup` has it ignored.

    A command in the background of a script starts with Ctrl-C ignored. That stays so, but must not
    keep SIGTERM from ending it.
    """

    how_to_go_on: ClassVar[str] = "run again to go on"
    """Advice after an interruption; a command that must not be run again changes it."""

    def __enter__(self) -> Self:
        self._readable, self._writable = os.pipe()
        for end in (self._readable, self._writable):
            os.set_blocking(end, False)
        self._old_wakeup = signal.set_wakeup_fd(self._writable, warn_on_full_buffer=False)
        self._old_handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if self._old_handlers[signal.SIGINT] is signal.SIG_IGN:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        for one in self._old_handlers:
            signal.signal(one, _interrupt)
        hang_up = signal.getsignal(signal.SIGHUP)
        if hang_up is not signal.SIG_IGN:
            self._old_handlers[signal.SIGHUP] = hang_up
            signal.signal(signal.SIGHUP, _hang_up)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._old_handlers.items():
            signal.signal(one, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
        signal.set_wakeup_fd(self._old_wakeup)
        for end in (self._readable, self._writable):
            os.close(end)

    @property
    def exit_code(self) -> int:
        """What to exit with after an interruption: 143 if SIGTERM came, 129 if SIGHUP, else 130."""
        try:
            received = os.read(self._readable, 4096)
        except BlockingIOError:
            return INTERRUPTED
        if signal.SIGTERM in received:
            return TERMINATED
        return HUNG_UP if signal.SIGHUP in received else INTERRUPTED


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _hang_up(number: int, frame: FrameType | None) -> None:
    """Does what SIGTERM does now; what is written to a closed terminal is lost, not an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            is_terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)
            if is_terminal and not os.isatty(descriptor):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, descriptor)
                os.close(null)
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        handler(number, frame)
    else:
        _interrupt(number, frame)
