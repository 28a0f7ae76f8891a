"""What every step process needs, imported once by the server that such processes are forked from.

Only modules that start no thread and touch no GPU belong here: Dagster's, with the storage that an
instance opens. They take 2.3 of the 3 s of CPU that a step process otherwise begins with.
"""

import dagster._core.execution.api
import dagster._core.executor.multiprocess
import dagster._core.launcher.default_run_launcher
import dagster._core.run_coordinator.queued_run_coordinator
import dagster._core.storage.event_log.sqlite
import dagster._core.storage.local_compute_log_manager
import dagster._core.storage.root
import dagster._core.storage.runs.sqlite
import dagster._core.storage.schedules.sqlite
import sqlalchemy.dialects.sqlite

import badc_dagster.executor.step_process
