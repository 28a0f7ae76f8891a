"""Asset checks that the step of `detections` evaluates itself, one result of each for a step.

A result for every recording would cost an event each, and the web interface shows the latest only;
so `chunks_complete` is about all recordings of the dataset, and `retry_budget` about the step.
What a step finds of other recordings another run may be about to mend, so `run_events.py` does not
call a run faulty for it.
Checks on the corpus are in `checks.py`.
"""

from collections.abc import Iterator

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import read_failures
from badc_core.stages.fingerprints import lacks_chunks
from badc_core.telemetry.summary import Summary
from badc_core.tolerance import is_tolerated
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.per_recording import connection_key

RETRY_BUDGET = "retry_budget"
CHUNKS_COMPLETE = "chunks_complete"

_SHOWN = 5
_DESCRIPTIONS = {
    CHUNKS_COMPLETE: "No recording's detections lack chunks, but for as many as "
    "inference.max_failed_fraction tolerates, and none failed altogether. A recording that "
    "lacks some chunks is used all the same, with the effort it really took, and stays due: the "
    "next run tries just those chunks. So this check holds nothing up.",
    RETRY_BUDGET: "No more of the step's chunks failed, or had to be tried again, than "
    "inference.retry_budget tolerates.",
}


def detections_check_specs(connection: Connection) -> list[dg.AssetCheckSpec]:
    """Returns the checks of a dataset's `detections`; none of them blocks what comes after."""
    key = connection_key(connection, "detections")
    return [
        dg.AssetCheckSpec(name, asset=key, description=description)
        for name, description in _DESCRIPTIONS.items()
    ]


def check_detections(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset, summary: Summary
) -> Iterator[dg.AssetCheckResult]:
    """Yields what the checks find once a step has told the asset graph of its recordings.

    Args:
        instance: knows what every recording's detections were made from.
        connection: the dataset's place in the asset graph.
        dataset: knows which recordings failed, and how much trouble is tolerated.
        summary: of the step's attempts.
    """
    yield _check_chunks(instance, connection, dataset)
    yield _check_retries(summary, dataset.settings.inference.retry_budget)


def _check_chunks(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset
) -> dg.AssetCheckResult:
    made = recorded_fingerprints(instance, connection_key(connection, "detections"))
    keys = instance.get_dynamic_partitions(connection.partitions_name)
    notes = read_failures(dataset).values()
    failed = {one.recording_id for one in notes if one.stage == "detections"}
    lacking = [one for one in keys if one in failed or lacks_chunks(made.get(one, ""))]
    more = [f"and {len(lacking) - _SHOWN} more"] if len(lacking) > _SHOWN else []
    return dg.AssetCheckResult(
        check_name=CHUNKS_COMPLETE,
        passed=not lacking,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_DESCRIPTIONS[CHUNKS_COMPLETE],
        metadata={
            "violations": len(lacking),
            "examples": "; ".join([*lacking[:_SHOWN], *more]) or "-",
        },
    )


def _check_retries(summary: Summary, budget: float) -> dg.AssetCheckResult:
    worst, totals = summary.worst(_SHOWN), summary.totals()
    return dg.AssetCheckResult(
        check_name=RETRY_BUDGET,
        passed=is_tolerated(worst.n_chunks, budget, totals.chunks),
        severity=dg.AssetCheckSeverity.WARN,
        description=_DESCRIPTIONS[RETRY_BUDGET],
        metadata={
            "violations": worst.n_chunks,
            "chunks": totals.chunks,
            "retries": totals.retries,
            "examples": "; ".join(str(worst).splitlines()) or "-",
        },
    )
