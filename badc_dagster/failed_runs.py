"""Runs that failed as a whole and have not been made up for: model missing, disk full, killed."""

from collections.abc import Set

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_dagster.due import Progress
from badc_dagster.jobs import PIPELINE_JOB
from badc_dagster.partitions import KeyOrder, asset_key
from badc_dagster.run_events import faults, unattended, was_interrupted

_N_RUNS = 100
"""How many runs are looked at, newest first: `badc run` takes a few for each batch."""


def find_failed_runs(
    instance: dg.DagsterInstance, connection: Connection, progress: Progress, failed: Set[str]
) -> dict[str, str]:
    """Returns the runs that failed and were the last to try a recording that is due, and why.

    By id, newest first. Runs that somebody interrupted have not failed.

    Args:
        instance: holds the runs.
        connection: the dataset.
        progress: how far its recordings are.
        failed: recordings that failed themselves, about which no run is to be named.
    """
    explained = failed | progress.incomplete
    untried = {
        asset_key(connection, stage): set(due) - explained for stage, due in progress.due.items()
    }
    if not any(untried.values()):
        return {}
    keys = KeyOrder.read(instance, connection)
    of_dataset = dg.RunsFilter(job_name=connection.scoped(PIPELINE_JOB))
    found: dict[str, str] = {}
    for run in instance.get_runs(of_dataset, limit=_N_RUNS):
        recordings = set(keys.of_run(run.tags))
        assets = [one for one in run.asset_selection or untried if one in untried]
        is_last = any(untried[one] & recordings for one in assets)
        if is_last and run.status == dg.DagsterRunStatus.FAILURE:
            events = failures_of_run(instance, run.run_id)
            if not was_interrupted(events):
                whys = (*faults(events), *sorted(set(unattended(events).values())))
                found[run.run_id] = " ".join(whys)
        for one in assets:
            untried[one] -= recordings
    return found


def failures_of_run(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent]:
    """Returns the events that say how a run and its steps failed."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    entries = instance.all_logs(run_id, of_type=kinds)
    return [one.dagster_event for one in entries if one.dagster_event]
