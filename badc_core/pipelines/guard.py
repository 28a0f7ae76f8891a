"""A small process that ends those of a stage if their runner is killed, as by SIGKILL.

It waits for the end of its standard input, which only the runner can write to.
"""

import subprocess
import sys

from badc_core.pipelines.processes import end_processes


def start_guard(attempt: str, group: int) -> "subprocess.Popen[bytes]":
    """Starts a guard of the processes of an attempt; whoever has ended these ends it first.

    Args:
        attempt: marks the processes of this attempt only, as the next may begin meanwhile.
        group: their process group.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "badc_core.pipelines.guard", attempt, str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what is sent to the runner's group is not meant for it
    )


def end_guard(guard: "subprocess.Popen[bytes]") -> None:
    """Ends a guard that has nothing to guard any more."""
    guard.kill()
    guard.communicate()


def main() -> None:
    """Waits for the end of the runner, then ends what is left."""
    sys.stdin.buffer.read()
    end_processes(sys.argv[1], int(sys.argv[2]))


if __name__ == "__main__":
    main()
