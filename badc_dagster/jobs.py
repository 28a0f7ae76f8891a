"""Asset jobs: which assets are run together, under which name."""

from typing import Any

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.fingerprints import STAGES
from badc_dagster.per_recording import connection_key

_JOBS: dict[str, tuple[tuple[str, ...], str]] = {
    "pipeline_job": (STAGES, "A recording from file to report."),
    "chunk_job": (STAGES[:2], "Check a recording and plan its chunks."),
    "infer_job": (STAGES[2:3], "Run the detector over a recording's chunks."),
    "report_job": (STAGES[3:], "Write a recording's reports."),
    "scan_job": (("recordings",), "Look for new recordings and register them."),
    "corpus_job": (
        ("corpus_detections", "corpus_report"),
        "Gather all detections into one database and report.",
    ),
}

AnyJob = Any
"""What `define_asset_job` returns has no public name."""


def build_jobs(connection: Connection) -> list[AnyJob]:
    """Returns all jobs of a dataset."""
    return [
        dg.define_asset_job(
            connection.scoped(name), _selection(connection, assets), description=description
        )
        for name, (assets, description) in _JOBS.items()
    ]


def _selection(connection: Connection, names: tuple[str, ...]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(connection_key(connection, name) for name in names))
