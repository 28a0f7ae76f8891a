"""Starts run workers by forking, which spares each the seconds that importing Dagster takes.

Each line of standard input is JSON: the run worker's argument, folder, environment and log. The
answer is its process id.
"""

import json
import os
import signal
import sys

import run_worker
from alembic.script import ScriptDirectory
from support.migrations import reading_once

import badc_dagster.executor  # noqa: F401  (imported before the forks, not after)


def main() -> None:
    """Starts run workers until standard input ends."""
    # The kernel removes ended run workers; they themselves wait for their steps as usual.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ScriptDirectory.from_config = reading_once()
    for line in sys.stdin:
        if pid := os.fork():
            print(pid, flush=True)
        else:
            become_run_worker(**json.loads(line))
            run_worker.main()
            return


def become_run_worker(argument: str, folder: str, environment: dict[str, str], log: str) -> None:
    """Makes this process what `python run_worker.py` starts with."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = [run_worker.__file__, argument]


if __name__ == "__main__":
    main()
