"""Places for workers, with who is there now."""

from dataclasses import dataclass

from badc_core.devices.places import Place
from badc_core.engine.pool import WorkerProcess


@dataclass
class WorkerSlot:
    """A place for a worker.

    Attributes:
        place: where it is.
        worker: the one there now; None before the first and after one has died.
        n_failed_loads: workers in a row that died here before they were ready.
        is_closed: no worker is started here any more.
    """

    place: Place
    worker: WorkerProcess | None = None
    n_failed_loads: int = 0
    is_closed: bool = False

    def has_room(self, depth: int) -> bool:
        """Whether the worker may have a `depth`th chunk: a suspect gets no company."""
        if self.is_closed:
            return False
        if self.worker is None:
            return depth == 1
        assigned = self.worker.assigned
        if self.worker.overdue or len(assigned) >= depth:
            return False
        return not any(one.is_suspect for one in assigned)
