"""Asset jobs: which assets are run together, under which name."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import export_assets
from badc_core.stages.stage import STAGES
from badc_dagster.partitions import asset_key, settings_of

PIPELINE_JOB = "pipeline_job"

_DESCRIPTIONS = {
    "chunk_job": "Check a recording and plan its chunks.",
    "infer_job": "Run the detector over a recording's chunks.",
    "select_job": "Select which detections are kept; no model runs.",
    "report_job": "Write a recording's reports.",
}
_OTHERS: dict[str, tuple[tuple[str, ...], str]] = {
    "scan_job": (("recordings",), "Look for new recordings and register them."),
    "review_job": (
        ("review_queue", "review_clips"),
        "Draw detections to check by ear, with their sounds and a page.",
    ),
    "thresholds_job": (
        ("verdicts", "thresholds"),
        "Read what people said of detections, and recommend thresholds; none is used by it.",
    ),
    "corpus_job": (CORPUS_ASSETS, "Bring all results together, and write the pages about them."),
}

AnyJob = Any
"""What `define_asset_job` returns has no public name."""


def build_jobs(connection: Connection) -> list[AnyJob]:
    """Returns all jobs of a dataset."""
    return [
        dg.define_asset_job(name, select_assets(connection, assets), description=description)
        for name, (assets, description) in _assets_of_jobs(connection).items()
    ]


def assets_of_run(connection: Connection, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """Returns which of a dataset's assets a run makes; none if it is a run of another dataset."""
    if run.asset_selection:
        return {one for one in run.asset_selection if one.path[:-1] == connection.key_prefix}
    # Runs from the launchpad, and backfills of jobs, have no selection.
    names, _ = _assets_of_jobs(connection).get(run.job_name, ((), ""))
    return {asset_key(connection, one) for one in names}


def _assets_of_jobs(connection: Connection) -> dict[str, tuple[tuple[str, ...], str]]:
    """Returns the name of each job of a dataset, with its assets and its description."""
    jobs = {PIPELINE_JOB: (tuple(STAGES), "A recording from file to report."), **_OTHERS}
    exports = export_assets(settings_of(connection))
    if exports:
        jobs["export_job"] = exports, "Write the exports that the settings name."
    for name in dict.fromkeys(stage.job for stage in STAGES.values()):
        stages = tuple(stage.name for stage in STAGES.values() if stage.job == name)
        jobs[name] = stages, _DESCRIPTIONS.get(name, f"Only {', '.join(stages)}.")
    return {connection.scoped(name): job for name, job in jobs.items()}


def select_assets(connection: Connection, names: Iterable[str]) -> dg.AssetSelection:
    """Returns the selection of some of a dataset's assets."""
    return dg.AssetSelection.assets(*(asset_key(connection, name) for name in names))
