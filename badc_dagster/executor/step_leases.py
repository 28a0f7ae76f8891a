"""The leases of a run's steps: requested, waited for, released."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from badc_core.devices.current_lease import CurrentLease
from badc_core.devices.lease_queue import Ticket
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseRefusal, LeaseStore
from badc_core.errors import ConfigInvalid
from badc_dagster.dagster_private import ExecutionPlan, IExecutionStep

DEVICES_TAG = "badc/devices"
VRAM_TAG = "badc/vram_mib"
_POLL_S = 0.25


@dataclass
class _Queue:
    """A run's one place in the host's queue for a kind of request."""

    ticket: Ticket
    reason: str
    asked: float


class StepLeases:
    """The devices that a run's steps have leased or wait for.

    A run has one place in the queue for each kind of request, whichever of its steps comes next:
    so runs take turns, however many steps each has.

    Args:
        store: the host's leases.
        folder: where the store keeps its files, to be named in errors.
        run_id: for other users to see.
    """

    def __init__(self, store: LeaseStore, folder: Path, run_id: str) -> None:
        self._store = store
        self._folder = folder
        self._run_id = run_id
        self._leases: dict[str, Lease] = {}
        self._current: dict[str, CurrentLease] = {}
        self._since: dict[str, float] = {}
        self._queues: dict[DeviceRequest, _Queue] = {}
        self._waiting: dict[str, DeviceRequest] = {}

    @property
    def waiting(self) -> dict[str, str]:
        """Step -> why it waits, as of the last round."""
        return {key: self._queues[request].reason for key, request in self._waiting.items()}

    def lease_of(self, step_key: str) -> CurrentLease | None:
        """Returns a step's lease."""
        return self._current.get(step_key)

    def begin_round(self) -> None:
        """Forgets which steps waited: those that still do ask again."""
        self._waiting = {}

    def acquire(self, step_key: str, request: DeviceRequest) -> bool:
        """Leases a step's devices if they are free; returns whether it has them now.

        Raises:
            ConfigInvalid: the lease folder can no longer be used.
        """
        now = time.monotonic()
        self._since.setdefault(step_key, now)
        queue = self._queues.get(request)
        is_time = queue is None or now - queue.asked >= _POLL_S
        # A request that one step of this run was refused, the next would be refused as well.
        if request in self._waiting.values() or not is_time:
            self._waiting[step_key] = request
            return False
        with self._folder_in_use():
            return self._ask(step_key, request, queue)

    def end_round(self) -> None:
        """Leaves the queues in which no step of the run waits any more."""
        for request in self._queues.keys() - set(self._waiting.values()):
            self._leave(request)

    def mark_idle(self) -> None:
        """Reserves no device while the run cannot start another step."""
        for queue in self._queues.values():
            queue.ticket.mark_idle()

    def release(self, step_key: str) -> None:
        """Ends this process's part in a step's lease; may be called again."""
        self._since.pop(step_key, None)
        self._current.pop(step_key, None)
        lease = self._leases.pop(step_key, None)
        if lease is not None:
            lease.release()

    def close(self) -> None:
        """Releases all devices; processes that still run keep theirs until they end."""
        for step_key in list(self._leases):
            self.release(step_key)
        for request in list(self._queues):
            self._leave(request)
        self._waiting = {}

    def _ask(self, step_key: str, request: DeviceRequest, queue: _Queue | None) -> bool:
        holder = Holder(f"step {step_key}", self._run_id, vram_mib=request.vram_mib)
        answer = self._store.acquire(request, holder, queue.ticket if queue else None)
        if isinstance(answer, LeaseRefusal):
            ticket = queue.ticket if queue else self._store.queue(request, holder)
            self._queues[request] = _Queue(ticket, answer.reason, time.monotonic())
            self._waiting[step_key] = request
            return False
        self._queues.pop(request, None)  # the store has withdrawn the ticket
        self._leases[step_key] = answer
        waited_s = time.monotonic() - self._since[step_key]
        self._current[step_key] = CurrentLease.of(
            answer, round(waited_s, 3), self._store.leases_gpus
        )
        return True

    def _leave(self, request: DeviceRequest) -> None:
        with suppress(OSError):  # the folder is gone, and the ticket with it
            self._queues.pop(request).ticket.withdraw()

    @contextmanager
    def _folder_in_use(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigInvalid(
                f"the lease folder can no longer be used: {error}",
                self._folder,
                "Repair it, then run again: finished recordings are kept",
            ) from error


def requests_of(plan: ExecutionPlan) -> dict[str, DeviceRequest]:
    """Returns the devices that each step of a plan asks for, without steps that need none.

    Raises:
        ConfigInvalid: a step's tags are invalid.
    """
    steps = [plan.get_step_by_key(key) for key in plan.step_keys_to_execute]
    asked = {step.key: request_of(step) for step in steps}
    return {key: request for key, request in asked.items() if request is not None}


def request_of(step: IExecutionStep) -> DeviceRequest | None:
    """Returns the devices that a step's tags ask for; None without such tags.

    Raises:
        ConfigInvalid: the tags are invalid.
    """
    tags = step.tags or {}
    if DEVICES_TAG not in tags and VRAM_TAG not in tags:
        return None
    try:
        return DeviceRequest.parse(tags.get(DEVICES_TAG, ""), tags.get(VRAM_TAG, ""))
    except ConfigInvalid as error:
        raise ConfigInvalid(error.what, f"step {step.key}", error.remedy) from error


def check_requests(store: LeaseStore, requests: dict[str, DeviceRequest]) -> None:
    """Makes sure that this machine has the devices that every step asks for.

    Raises:
        ConfigInvalid: it does not.
    """
    for step_key, request in requests.items():
        try:
            store.check(request)
        except ConfigInvalid as error:
            raise ConfigInvalid(error.what, f"step {step_key}", error.remedy) from error
