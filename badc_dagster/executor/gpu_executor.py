"""The executor: Dagster's multiprocess executor, which leases devices to steps that ask for them.

Steps ask by their tags (`op_tags` of an asset): `badc/devices: "1"`, `badc/vram_mib: "6000"`. They
find their devices in CUDA_VISIBLE_DEVICES; steps that do not ask see no GPU.
"""

import sys
from collections.abc import Iterator
from functools import partial
from types import FunctionType
from typing import Any

import dagster as dg

from badc_core.devices.current_lease import CurrentLease
from badc_core.devices.inventory import find_gpus
from badc_core.devices.leasable import LeasableDevice, leasable_devices, read_declaration
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.leases import LeaseStore
from badc_dagster.dagster_private import (
    ChildProcessCrashException,
    EngineEventData,
    ExecutionPlan,
    ExecutionStep,
    IStepContext,
    MultiprocessExecutor,
    PlanOrchestrationContext,
    RetryMode,
    execute_step_out_of_process,
    get_retries_config,
    get_tag_concurrency_limits_config,
)
from badc_dagster.executor.execution import LeasingExecution
from badc_dagster.executor.step_leases import StepLeases, check_requests, requests_of
from badc_dagster.executor.step_process import LeasedStepCommand
from badc_dagster.failures import as_failures
from badc_dagster.liveness import show_alive

# Imported by the server that steps are forked from, which saves 0.6 of 0.85 s a step. The threads
# that this starts are OpenBLAS's and jemalloc's, which handle forks.
_PRELOAD = ("badc_dagster.executor.step_process", "dagster._cli", "upath.implementations.local")
_PRELOAD_OF_BADC = ("badc_dagster.checks", "pandas")
_LOOP_PARTS = ("ActiveExecution", "execute_step_out_of_process")
_STEP_PARTS = ("MultiprocessExecutorChildProcessCommand",)
_STEP_ENDS = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
    dg.DagsterEventType.STEP_SKIPPED,
}
_START_METHODS = ["forkserver", "spawn"]


class GpuExecutor(MultiprocessExecutor):
    """Runs each step in a process of its own once it has leased the devices it asks for.

    Dagster's own loop runs with two of its parts replaced: the state of a run, and the function
    that starts a step. So retries, termination and all events are Dagster's.

    Args:
        lease_dir, devices, slots_per_device: see `gpu_executor`.
    """

    def __init__(
        self,
        *,
        lease_dir: str | None,
        devices: list[str],
        slots_per_device: int | None,
        **named: Any,
    ) -> None:
        super().__init__(explicit_forkserver_preload=modules_to_preload(), **named)
        _with_parts(MultiprocessExecutor.execute, **dict.fromkeys(_LOOP_PARTS))
        _with_parts(execute_step_out_of_process, **dict.fromkeys(_STEP_PARTS))
        self._lease_dir = lease_dir
        self._devices = devices
        self._slots_per_device = slots_per_device

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Runs a plan; yields its events.

        Raises:
            dagster.Failure: a step asks for devices that this machine does not have, or the lease
                folder cannot be used.
        """
        # It knows the stages, and with them NumPy; what steps are forked from must not.
        from badc_dagster.executor.job_following import following_job  # noqa: PLC0415

        show_alive(plan_context.run_id)  # a run that waits for devices is alive
        events = self._execute(plan_context, execution_plan)
        yield from following_job(plan_context, execution_plan, events)

    def _execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        with as_failures():
            requests = requests_of(execution_plan)
            leases = None
            if requests:
                devices, diagnosis = self._find_devices()
                if diagnosis and any(not request.on_cpu for request in requests.values()):
                    message = f"{diagnosis}: steps lease the CPU instead."
                    yield dg.DagsterEvent.engine_event(plan_context, message, EngineEventData())
                folder = lease_folder(self._lease_dir)
                store = LeaseStore(folder, devices)
                check_requests(store, requests)
                leases = StepLeases(store, folder, plan_context.run_id)
            run = RunParts(leases)
            loop = _with_parts(
                MultiprocessExecutor.execute,
                ActiveExecution=run.follow,
                execute_step_out_of_process=run.execute_step,
            )
            try:
                yield from loop(self, plan_context, execution_plan)
            finally:
                if leases:
                    leases.close()

    def _find_devices(self) -> tuple[tuple[LeasableDevice, ...], str]:
        """Returns the devices that can be leased, and why there is no GPU if there is none."""
        inventory = find_gpus()
        declaration = read_declaration(lease_folder(self._lease_dir).parent)
        devices = leasable_devices(inventory, declaration, self._devices, self._slots_per_device)
        return devices, inventory.diagnosis if all(one.is_cpu for one in devices) else ""


class RunParts:
    """The replacements of Dagster's own parts for one run.

    Args:
        leases: of its steps; None if no step asks for devices.
    """

    def __init__(self, leases: StepLeases | None) -> None:
        self._leases = leases
        self._execution: LeasingExecution | None = None

    def follow(self, *arguments: Any, **named: Any) -> LeasingExecution:
        """Returns the state of the run."""
        self._execution = LeasingExecution(*arguments, leases=self._leases, **named)
        return self._execution

    def execute_step(
        self, processes: Any, job: Any, context: IStepContext, step: ExecutionStep, *rest: Any
    ) -> Iterator[dg.DagsterEvent | None]:
        """Starts a step with its lease; yields its events."""
        lease = self._leases.lease_of(step.key) if self._leases else None
        if lease is not None:
            yield _lease_event(context, step, lease)
        start = _with_parts(
            execute_step_out_of_process,
            MultiprocessExecutorChildProcessCommand=partial(LeasedStepCommand, lease=lease),
        )
        events = start(processes, job, context, step, *rest)
        yield next(events)  # says that there will be a process
        if self._execution is None or not self._execution.is_interrupted:
            yield from _until_over(events)


def modules_to_preload() -> list[str]:
    """Returns the modules that every step imports, those of BADC's assets if the run is of them."""
    if sys.platform != "linux" or "badc_dagster.definitions" not in sys.modules:
        return [*_PRELOAD]
    from badc_core.stages.stage import STAGES  # noqa: PLC0415  (imports libraries)

    assets = [f"badc_dagster.assets.{one}" for one in ("recordings", *STAGES, "corpus")]
    return [*_PRELOAD, *assets, *_PRELOAD_OF_BADC]


def _until_over(events: Iterator[dg.DagsterEvent | None]) -> Iterator[dg.DagsterEvent | None]:
    """Yields a step's events; that its process is killed once the step is over changes nothing.

    Dagster would fail the run, whose step it does not expect to fail once it has succeeded.
    """
    is_over = False
    try:
        for event in events:
            is_over = is_over or (event is not None and event.event_type in _STEP_ENDS)
            yield event
    except ChildProcessCrashException:
        if not is_over:
            raise


def _lease_event(
    context: IStepContext, step: ExecutionStep, lease: CurrentLease
) -> dg.DagsterEvent:
    slots = ", ".join(lease.slots)
    metadata = {
        "devices": dg.MetadataValue.text(slots),
        "waited_s": dg.MetadataValue.float(lease.waited_s),
    }
    message = f"Step {step.key} has leased {slots} after waiting for {lease.waited_s:.1f} s."
    return dg.DagsterEvent.engine_event(context, message, EngineEventData(metadata=metadata))


def _with_parts(function: Any, **parts: Any) -> Any:
    """Returns one of Dagster's functions with other parts in place of its own."""
    for name in parts:
        if name not in function.__code__.co_names:
            raise ImportError(f"this Dagster's {function.__qualname__} does not use {name}")
    return FunctionType(
        function.__code__,
        {**function.__globals__, **parts},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


@dg.executor(
    name="gpu",
    config_schema={
        "retries": get_retries_config(),  # type: ignore[no-untyped-call]
        "max_concurrent": dg.Field(
            dg.Noneable(dg.IntSource),
            default_value=None,
            is_required=False,
            description="Steps of one run at once; as many as there are cores if not set.",
        ),
        "tag_concurrency_limits": get_tag_concurrency_limits_config(),  # type: ignore[no-untyped-call]
        "start_method": dg.Field(
            dg.Enum("StartMethod", [dg.EnumValue(one) for one in _START_METHODS]),
            default_value=_START_METHODS[0],
            is_required=False,
        ),
        "lease_dir": dg.Field(
            dg.Noneable(dg.StringSource),
            default_value=None,
            is_required=False,
            description="Folder that all users of this machine share; BADC_LEASE_DIR if not set.",
        ),
        "devices": dg.Field(
            [str],
            default_value=[],
            is_required=False,
            description="Devices to use in place of those that NVML shows.",
        ),
        "slots_per_device": dg.Field(
            dg.Noneable(dg.IntSource),
            default_value=None,
            is_required=False,
            description="Leases on one GPU at once; if not set, as devices.toml says, or one.",
        ),
    },
    requirements=dg.multiple_process_executor_requirements(),
)
def gpu_executor(context: dg.InitExecutorContext) -> GpuExecutor:
    """Leases GPUs to steps, across all runs and users of this machine."""
    config: dict[str, Any] = dict(context.executor_config)
    return GpuExecutor(
        retries=RetryMode.from_config(config["retries"]),
        max_concurrent=config["max_concurrent"],
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
        start_method=config["start_method"],
        lease_dir=config["lease_dir"],
        devices=config["devices"],
        slots_per_device=config["slots_per_device"],
    )
