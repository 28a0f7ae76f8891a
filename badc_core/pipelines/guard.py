"""A small process that ends those of a stage if their runner is killed, as by SIGKILL.

It waits for the end of its standard input, which only the runner can write to. It begins before the
stage's process, so that no moment is left in which nobody would end that.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import TypeAlias

from badc_core.pipelines.processes import end_processes

Guard: TypeAlias = "subprocess.Popen[bytes]"


def start_guard(attempt: str, output: int, descriptors: Sequence[int]) -> Guard:
    """Starts a guard of the processes of an attempt; whoever has ended these ends it first.

    Args:
        attempt: marks the processes of this attempt only, as the next may begin meanwhile.
        output: the end to read of the pipe that the stage prints to. Without it, a stage that
            prints while it ends would be killed, as nobody reads there after the runner.
        descriptors: open files that it inherits, such as locks that hold until it ends.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "badc_core.pipelines.guard", attempt, str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what is sent to the runner's group is not meant for it
        pass_fds=(output, *descriptors),
    )


def guard_group(guard: Guard, group: int) -> None:
    """Says which process group to end too, which is known once the stage's process has begun."""
    if guard.stdin is not None:
        with suppress(BrokenPipeError):
            guard.stdin.write(str(group).encode())
            guard.stdin.flush()


def end_guard(guard: Guard) -> None:
    """Ends a guard that has nothing to guard any more."""
    guard.kill()
    guard.communicate()


def main() -> None:
    """Waits for the end of the runner, then ends what is left."""
    group = sys.stdin.buffer.read()
    Thread(target=_read_all, args=(int(sys.argv[2]),), daemon=True).start()
    end_processes(sys.argv[1], int(group) if group else None)


def _read_all(output: int) -> None:
    """Reads what a stage still prints, so that it does not wait; nobody is left to mask it."""
    while os.read(output, 1 << 16):
        pass


if __name__ == "__main__":
    main()
