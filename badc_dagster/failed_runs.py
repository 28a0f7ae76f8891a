"""Runs that failed as a whole and have not been made up for: model missing, disk full, killed."""

from collections.abc import Set

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import export_assets
from badc_dagster.due import Progress
from badc_dagster.jobs import PIPELINE_JOB
from badc_dagster.partitions import KeyOrder, asset_key
from badc_dagster.run_events import faults, unattended, was_interrupted
from badc_dagster.taking_over import GraphPlace

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


def find_failed_assets(place: GraphPlace) -> list[str]:
    """Returns why files about all recordings could not be made when they were last tried."""
    instance, connection, dataset = place
    found: list[str] = []
    for name in (*CORPUS_ASSETS, *export_assets(dataset.settings)):
        key = asset_key(connection, name)
        for record in instance.get_asset_records([key]):
            run = instance.get_run_record_by_id(record.asset_entry.last_run_id or "")
            made = record.asset_entry.last_materialization_record
            if run is None or run.dagster_run.status != dg.DagsterRunStatus.FAILURE:
                continue
            if made is None or made.timestamp < run.create_timestamp.timestamp():
                events = failures_of_run(instance, run.dagster_run.run_id)
                own = [one for one in events if one.step_key == key.to_python_identifier()]
                found += [] if was_interrupted(own) else faults(own)
    return found


def failures_of_run(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent]:
    """Returns the events that say how a run and its steps failed."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    entries = instance.all_logs(run_id, of_type=kinds)
    return [one.dagster_event for one in entries if one.dagster_event]
