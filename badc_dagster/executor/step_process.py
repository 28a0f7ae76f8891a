"""A step's own process: it sees the devices it was lent, and keeps them while it lives."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import reduction
from typing import Any

import dagster as dg

from badc_core.devices.current_lease import CurrentLease
from badc_core.devices.lease_files import read_content, write_content
from badc_dagster.dagster_private import (
    MultiprocessExecutorChildProcessCommand,
)


class LeasedStepCommand(MultiprocessExecutorChildProcessCommand):
    """What the process of a step is told.

    Args:
        held: its lease; None for a step without devices.
    """

    def __init__(self, *, held: CurrentLease | None, **named: Any) -> None:
        super().__init__(**named)
        self._held = held or CurrentLease()
        self._files: list[Any] = []

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is sent to the process; works only while it is being started."""
        files = [reduction.DupFd(descriptor) for descriptor in self._held.descriptors]
        return {**self.__dict__, "_files": files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        descriptors = tuple(file.detach() for file in self._files)
        self._files = []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._held = replace(self._held, descriptors=descriptors)

    def execute(self) -> Iterator[dg.DagsterEvent]:
        """Runs the step, which sees its devices only; before any of the user's code is loaded.

        A step whose run's process is killed goes on to its end and keeps its devices so long. Its
        events reach the event log, but nobody empties the pipe to that process: full, it would
        keep this one, and the devices, for ever.
        """
        os.environ.update(self._held.environment())
        for descriptor in self._held.descriptors:
            # Whoever looks for the holder should find the process that has the device.
            write_content(descriptor, {**read_content(descriptor), "pid": os.getpid()})
        try:
            for event in super().execute():
                if not _is_orphan():
                    yield event
        finally:
            if _is_orphan():
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(1)  # without the wait for the pipe that an ordinary exit begins with


def _is_orphan() -> bool:
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()
