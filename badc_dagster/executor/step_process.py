"""A step's own process: it sees the devices it was lent, and keeps them while it lives."""

import os
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import reduction
from typing import Any

import dagster as dg
from dagster._core.executor.multiprocess import MultiprocessExecutorChildProcessCommand

from badc_core.devices.held import HeldLease


class LeasedStepCommand(MultiprocessExecutorChildProcessCommand):
    """What the process of a step is told.

    Args:
        held: its lease; None for a step without devices.
    """

    def __init__(self, *, held: HeldLease | None, **named: Any) -> None:
        super().__init__(**named)
        self._held = held or HeldLease()
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
        """Runs the step, which sees its devices only; before any of the user's code is loaded."""
        os.environ.update(self._held.environment())
        yield from super().execute()
