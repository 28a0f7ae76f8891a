"""Which of a run's steps may start: Dagster's own choice, less those whose devices are not free."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.step import ExecutionStep

from badc_dagster.executor.step_leases import StepLeases

_PAUSE_S = 0.05
_REMIND_S = 60.0


class LeasingExecution(ActiveExecution):
    """Dagster's account of a run in progress, with devices.

    Args:
        leases: of the run's steps.
    """

    def __init__(self, *arguments: Any, leases: StepLeases, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._leases = leases
        self._told: dict[str, tuple[str, float]] = {}

    def get_steps_to_execute(self, limit: int | None = None) -> Sequence[ExecutionStep]:
        """Returns the steps to start now; those that ask for devices hold them."""
        self._update()
        held_back = self._without_devices(self._room(limit))
        self._executable = [key for key in self._executable if key not in held_back]
        try:
            steps = super().get_steps_to_execute(limit)
        finally:
            self._executable += held_back
        started = {step.key for step in steps}
        for key in self._executable:
            if key not in started and self._leases.holds(key):
                self._leases.give_back(key)  # something else holds it up, such as a tag's limit
        return steps

    def concurrency_event_iterator(self, plan_context: Any) -> Iterator[dg.DagsterEvent]:
        """Yields why steps wait, and rests a little if there is nothing else to do."""
        yield from super().concurrency_event_iterator(plan_context)
        waiting = self._leases.waiting
        for key, reason in waiting.items():
            if self._is_news(key, reason):
                context = plan_context.for_step(self.get_step_by_key(key))
                data = EngineEventData(metadata={"waiting_for": dg.MetadataValue.text(reason)})
                yield dg.DagsterEvent.engine_event(context, f"Step {key} is {reason}.", data)
        if waiting and not self._in_flight:
            time.sleep(_PAUSE_S)

    def verify_complete(self, job_context: Any, step_key: str) -> None:
        """Gives a step's devices back, now that its process is gone."""
        self._leases.give_back(step_key)
        super().verify_complete(job_context, step_key)

    def _room(self, limit: int | None) -> int:
        """Returns how many more steps may start."""
        rooms = [len(self._executable)] + ([] if limit is None else [limit])
        if self._max_concurrent is not None:
            rooms.append(self._max_concurrent - len(self._in_flight))
        return min(rooms)

    def _without_devices(self, room: int) -> list[str]:
        """Returns the steps whose turn it is and which do not get their devices."""
        held_back = []
        steps = [self.get_step_by_key(key) for key in self._executable]
        for step in sorted(steps, key=self._sort_key_fn):
            if not self._leases.wants(step.key) or (room > 0 and self._leases.take(step.key)):
                room -= 1
            else:
                held_back.append(step.key)
        return held_back

    def _is_news(self, key: str, reason: str) -> bool:
        before, when = self._told.get(key, ("", 0.0))
        now = time.monotonic()
        if before and (before == reason or now - when < _REMIND_S):
            return False
        self._told[key] = (reason, now)
        return True
