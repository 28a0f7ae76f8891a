"""Notices of failed runs that the web interface, a sensor or a backfill started.

`badc run` sends its own when it ends (`cli/run.py`), about all its runs together.
"""

from collections.abc import Mapping
from typing import cast

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.notices import send_notice, write_notice
from badc_dagster.failed_runs import failures_of_run
from badc_dagster.failures import RECORDINGS_FAILED
from badc_dagster.jobs import assets_of_run
from badc_dagster.liveness import LOCKS_FIRST_TAG
from badc_dagster.run_events import faults, was_interrupted


def build_failure_sensor(connection: Connection) -> dg.SensorDefinition:
    """Returns the sensor that sends a notice of each failed run of a dataset."""

    @dg.run_failure_sensor(
        name=connection.scoped("failure_notices"),
        description="Has `notify.command` of badc.toml send a message about each run that failed.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def failure_notices(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        try:
            trouble = notify(context.instance, connection, context.dagster_run)
        except BadcError as error:
            trouble = str(error)
        return dg.SkipReason(trouble) if trouble else None

    return failure_notices


def notify(instance: dg.DagsterInstance, connection: Connection, run: dg.DagsterRun) -> str:
    """Sends the notice of a failed run, if it is one of the dataset; returns what went wrong.

    Raises:
        DatasetInvalid, ConfigInvalid: the dataset cannot be opened.
    """
    if not assets_of_run(connection, run) or LOCKS_FIRST_TAG.items() <= run.tags.items():
        return ""
    events = failures_of_run(instance, run.run_id)
    if was_interrupted(events):
        return ""
    dataset = Dataset.open(connection.root)
    text = write_notice(dataset.root, _failed_recordings(events), [*faults(events)])
    return send_notice(dataset.settings.notify.command, dataset.root, text, run.run_id)


def _failed_recordings(events: list[dg.DagsterEvent]) -> dict[str, str]:
    """Returns the recordings that failed in a run, and why."""
    found: dict[str, str] = {}
    for event in events:
        failure = event.step_failure_data.user_failure_data if event.is_step_failure else None
        if failure is not None and RECORDINGS_FAILED in failure.metadata:
            found |= cast("Mapping[str, str]", failure.metadata[RECORDINGS_FAILED].value)
    return found
