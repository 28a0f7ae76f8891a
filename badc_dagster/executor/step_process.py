"""A step's own process: it sees the devices leased to it, and keeps them while it lives."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import reduction
from typing import Any

import dagster as dg

from badc_core.devices.current_lease import CurrentLease
from badc_core.devices.inventory import VISIBLE
from badc_core.devices.lease_files import read_content, write_content
from badc_dagster.dagster_private import MultiprocessExecutorChildProcessCommand


class LeasedStepCommand(MultiprocessExecutorChildProcessCommand):
    """The command that the process of a step executes.

    Args:
        lease: the step's; None for a step without devices.
    """

    def __init__(self, *, lease: CurrentLease | None, **named: Any) -> None:
        super().__init__(**named)
        self._lease = lease or CurrentLease()
        self._files: list[Any] = []

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to send to the process; works only while it is being started."""
        files = [reduction.DupFd(descriptor) for descriptor in self._lease.descriptors]
        return {**self.__dict__, "_files": files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        descriptors = tuple(file.detach() for file in self._files)
        self._files = []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._lease = replace(self._lease, descriptors=descriptors)

    def execute(self) -> Iterator[dg.DagsterEvent]:
        """Runs the step with its devices visible, set before any of the user's code is loaded.

        A step whose run's process is killed goes on to its end and keeps its devices until then.
        Its events reach the event log, but no process empties the pipe to the run: once full, it
        would block this process, and the devices, for ever.
        """
        lease = replace(self._lease, hides=os.environ.get(VISIBLE))
        os.environ.update(lease.environment())
        for descriptor in self._lease.descriptors:
            # `badc gpus` should show the process that uses the device.
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
