"""Which of a run's steps may start: Dagster's rules, and devices for steps that ask for them."""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import dagster as dg

from badc_dagster.dagster_private import (
    PRIORITY_TAG,
    ActiveExecution,
    EngineEventData,
    ExecutionStep,
    TagConcurrencyLimitsCounter,
    pool_key_for_step,
)
from badc_dagster.executor.step_leases import StepLeases, request_of

_PAUSE_S = 0.05
_REMIND_S = 60.0


class LeasingExecution(ActiveExecution):
    """Dagster's state of a run in progress, with devices.

    A step starts once its earlier attempt's process has ended, tag limits allow it, it has its
    pool, and it has its devices, in this order. So no step that cannot start for another reason
    leases a device, or has a place in the queue for one.

    Args:
        leases: of the run's steps; None if no step asks for devices.
    """

    def __init__(self, *arguments: Any, leases: StepLeases | None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._leases = leases
        self._with_process: set[str] = set()
        self._with_pool: set[str] = set()
        self._reported: dict[str, tuple[str, float]] = {}

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Frees the pools of steps that never started; Dagster frees those of steps that did."""
        for key in list(self._with_pool):
            self._leave_pool(key)
        super().__exit__(exc_type, exc_value, traceback)

    def get_steps_to_execute(self, limit: int | None = None) -> Sequence[ExecutionStep]:
        """Returns the steps to start now; those that ask for devices have leased them.

        Raises:
            ConfigInvalid: the lease folder can no longer be used.
        """
        self._update()
        limits = TagConcurrencyLimitsCounter(
            self._tag_concurrency_limits, [self.get_step_by_key(key) for key in self._in_flight]
        )
        started: list[ExecutionStep] = []
        n_free = self._n_free(limit)
        if n_free <= 0:
            self._mark_idle()
            return started
        if self._leases:
            self._leases.begin_round()
        for step in sorted(map(self.get_step_by_key, self._executable), key=self._sort_key_fn):
            if len(started) == n_free:
                break
            if self._may_start(step, limits):
                limits.update_counters_with_launched_item(step)
                started.append(step)
        if len(started) == n_free:
            self._mark_idle()
        elif self._leases:
            self._leases.end_round()
        for step in started:
            self._start(step)
        return started

    def concurrency_event_iterator(self, plan_context: Any) -> Iterator[dg.DagsterEvent]:
        """Yields why steps wait, and pauses if there is nothing else to do."""
        yield from super().concurrency_event_iterator(plan_context)
        waiting = self._leases.waiting if self._leases else {}
        for key, reason in waiting.items():
            if self._is_news(key, reason):
                context = plan_context.for_step(self.get_step_by_key(key))
                message = f"Step {key} is {reason}."
                yield dg.DagsterEvent.engine_event(context, message, EngineEventData())
        if not self._in_flight and (self._executable or self._waiting_to_retry):
            time.sleep(_PAUSE_S)  # Dagster's own loop would spin

    def verify_complete(self, job_context: Any, step_key: str) -> None:
        """Releases a step's devices, now that its process has ended."""
        self._with_process.discard(step_key)
        if self._leases:
            self._leases.release(step_key)
        super().verify_complete(job_context, step_key)

    @property
    def is_interrupted(self) -> bool:
        """Whether the run is being terminated, so that no more steps may start."""
        return self._interrupted

    def _mark_idle(self) -> None:
        if self._leases:
            self._leases.mark_idle()

    def _n_free(self, limit: int | None) -> int:
        """Returns how many more steps may start."""
        limits = [len(self._executable)] + ([] if limit is None else [limit])
        if self._max_concurrent is not None:
            limits.append(self._max_concurrent - len(self._in_flight))
        return min(limits)

    def _may_start(self, step: ExecutionStep, limits: TagConcurrencyLimitsCounter) -> bool:
        # An attempt ends before its process does, which still has the device.
        if step.key in self._with_process:
            return False
        if limits.is_blocked(step):
            self._leave_pool(step.key)
            return False
        return self._has_pool(step) and self._has_devices(step)

    def _has_pool(self, step: ExecutionStep) -> bool:
        pool, pools = pool_key_for_step(step), self._instance_concurrency_context
        if not pool or pools is None or step.key in self._with_pool:
            return True
        priority = step.tags.get(PRIORITY_TAG, "0")
        is_number = priority.lstrip("-").isdecimal()
        if not pools.claim(pool, step.key, int(priority) if is_number else 0):
            return False
        self._with_pool.add(step.key)
        return True

    def _has_devices(self, step: ExecutionStep) -> bool:
        request = request_of(step)
        return request is None or (
            self._leases is not None and self._leases.acquire(step.key, request)
        )

    def _start(self, step: ExecutionStep) -> None:
        """Records that a step starts, as Dagster's own method does at its end."""
        self._in_flight.add(step.key)
        self._executable.remove(step.key)
        self._prep_for_dynamic_outputs(step)
        self._with_process.add(step.key)
        self._with_pool.discard(step.key)
        self._reported.pop(step.key, None)

    def _leave_pool(self, step_key: str) -> None:
        if step_key in self._with_pool and self._instance_concurrency_context:
            self._with_pool.discard(step_key)
            self._instance_concurrency_context.free_step(step_key)

    def _is_news(self, key: str, reason: str) -> bool:
        before, when = self._reported.get(key, ("", 0.0))
        now = time.monotonic()
        if before and (before == reason or now - when < _REMIND_S):
            return False
        self._reported[key] = (reason, now)
        return True
