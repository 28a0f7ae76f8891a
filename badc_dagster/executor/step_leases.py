"""The leases of a run's steps: asked for, waited for, held, given back."""

import time
from dataclasses import dataclass, field

from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import IExecutionStep

from badc_core.devices.held import HeldLease
from badc_core.devices.lease_queue import Ticket
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_table import Holder, Lease
from badc_core.devices.leases import LeaseStore, Refusal
from badc_core.errors import ConfigInvalid

DEVICES_TAG = "badc/devices"
VRAM_TAG = "badc/vram_mib"
_POLL_S = 0.25


@dataclass
class _Wait:
    """A step in the queue."""

    ticket: Ticket
    reason: str
    since: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)


class StepLeases:
    """What a run's steps hold and wait for.

    Args:
        store: of this host.
        plan: the run's steps, some of which ask for devices by their tags.
        run_id: for others to see.

    Raises:
        ConfigInvalid: a step asks for what this machine does not have, or in words that say
            nothing.
    """

    def __init__(self, store: LeaseStore, plan: ExecutionPlan, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._requests: dict[str, DeviceRequest] = {}
        self._leases: dict[str, Lease] = {}
        self._held: dict[str, HeldLease] = {}
        self._waits: dict[str, _Wait] = {}
        for step in plan.steps:
            request = _request(step)
            if request is not None:
                store.check(request)
                self._requests[step.key] = request

    @property
    def wants_any(self) -> bool:
        """Whether any step asks for devices."""
        return bool(self._requests)

    @property
    def waiting(self) -> dict[str, str]:
        """Step -> why it waits."""
        return {key: wait.reason for key, wait in self._waits.items()}

    def wants(self, step_key: str) -> bool:
        """Tells whether a step asks for devices."""
        return step_key in self._requests

    def holds(self, step_key: str) -> HeldLease | None:
        """Returns what a step holds."""
        return self._held.get(step_key)

    def take(self, step_key: str) -> bool:
        """Tells whether a step has its devices, after having asked for them now if it is time.

        Raises:
            OSError: the lease folder cannot be used.
        """
        if step_key in self._held:
            return True
        wait = self._waits.get(step_key)
        if wait and time.monotonic() - wait.asked < _POLL_S:
            return False
        request = self._requests[step_key]
        holder = Holder(f"step {step_key}", self._run_id, vram_mib=request.vram_mib)
        answer = self._store.take(request, holder, wait.ticket if wait else None)
        if isinstance(answer, Refusal):
            self._queue(step_key, wait, holder, answer)
            return False
        waited_s = time.monotonic() - wait.since if wait else 0.0
        self._waits.pop(step_key, None)
        self._leases[step_key] = answer
        self._held[step_key] = HeldLease.of(answer, round(waited_s, 3))
        return True

    def give_back(self, step_key: str) -> None:
        """Ends this process's part in a step's lease, and its waiting; may be called again."""
        wait = self._waits.pop(step_key, None)
        if wait is not None:
            wait.ticket.withdraw()
        lease = self._leases.pop(step_key, None)
        if lease is not None:
            lease.release()
        self._held.pop(step_key, None)

    def close(self) -> None:
        """Gives everything back; processes that still run keep theirs until they end."""
        for step_key in self._requests:
            self.give_back(step_key)

    def _queue(self, step_key: str, wait: _Wait | None, holder: Holder, answer: Refusal) -> None:
        if wait is None:
            ticket = self._store.queue(self._requests[step_key], holder)
            self._waits[step_key] = _Wait(ticket, answer.reason)
        else:
            wait.reason, wait.asked = answer.reason, time.monotonic()


def _request(step: IExecutionStep) -> DeviceRequest | None:
    """Returns what a step's tags ask for; None if they do not."""
    tags = step.tags or {}
    if DEVICES_TAG not in tags and VRAM_TAG not in tags:
        return None
    try:
        return DeviceRequest.parse(tags.get(DEVICES_TAG, ""), tags.get(VRAM_TAG, ""))
    except ConfigInvalid as error:
        raise ConfigInvalid(error.what, f"step {step.key}", error.remedy) from error
