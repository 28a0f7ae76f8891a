"""The private names of Dagster that BADC needs, all in one place; Dagster may change them.

The executor is made of them. Where one is missing, importing this fails; whether Dagster's own loop
still uses those that are replaced is checked in `executor/gpu_executor.py`.
"""

# Imported for their own sake: what opening an instance would import in every step's process. The
# server that such processes are forked from has them, which saves each 2.3 of 3 s of CPU. Only
# modules that start no thread and touch no GPU belong here.
import dagster._core.execution.api
import dagster._core.launcher.default_run_launcher
import dagster._core.run_coordinator.queued_run_coordinator
import dagster._core.storage.event_log.sqlite
import dagster._core.storage.local_compute_log_manager
import dagster._core.storage.root
import dagster._core.storage.runs.sqlite
import dagster._core.storage.schedules.sqlite  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.active import _pool_key_for_step as pool_key_for_step
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep, IExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.multiprocess import (
    MultiprocessExecutor,
    MultiprocessExecutorChildProcessCommand,
    execute_step_out_of_process,
)
from dagster._core.storage.tags import PRIORITY_TAG
from dagster._utils.tags import TagConcurrencyLimitsCounter

__all__ = [
    "PRIORITY_TAG",
    "ActiveExecution",
    "EngineEventData",
    "ExecutionPlan",
    "ExecutionStep",
    "IExecutionStep",
    "IStepContext",
    "MultiprocessExecutor",
    "MultiprocessExecutorChildProcessCommand",
    "PlanOrchestrationContext",
    "RetryMode",
    "TagConcurrencyLimitsCounter",
    "execute_step_out_of_process",
    "get_retries_config",
    "get_tag_concurrency_limits_config",
    "pool_key_for_step",
]
