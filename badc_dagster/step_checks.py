"""Asset checks that the step which runs the detector evaluates itself, one result of each.

A result for every recording would cost an event each, and the web interface shows the latest only;
so `chunks_complete` is about all recordings of the dataset, and `retry_budget` about the step.
Which recordings lack chunks is written down as they end (`stages/work.py`), so a step reads just
the names of those. What a step finds of other recordings another run may be about to mend, so
`run_events.py` does not call a run faulty for it. Checks on the corpus are in `checks.py`.
"""

from collections.abc import Iterator

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.step_inputs import StepInputs
from badc_core.telemetry.summary import Summary
from badc_core.tolerance import is_tolerated
from badc_core.units import shorten
from badc_dagster.partitions import asset_key

RETRY_BUDGET = "retry_budget"
CHUNKS_COMPLETE = "chunks_complete"

_SHOWN = 5
_DESCRIPTIONS = {
    CHUNKS_COMPLETE: "No recording's detections lack chunks, except as many as "
    "inference.max_failed_fraction tolerates, and none failed altogether. A recording that "
    "lacks some chunks is used all the same, with the effort it really took, and stays due: the "
    "next run tries just those chunks. So this check holds nothing up.",
    RETRY_BUDGET: "No more of the step's chunks failed, or had to be tried again, than "
    "inference.retry_budget tolerates.",
}


def chunk_check_specs(connection: Connection, stage: str) -> list[dg.AssetCheckSpec]:
    """Returns the checks of a stage's chunks; none of them blocks what comes after."""
    key = asset_key(connection, stage)
    return [
        dg.AssetCheckSpec(name, asset=key, description=description)
        for name, description in _DESCRIPTIONS.items()
    ]


def check_step(inputs: StepInputs, summary: Summary) -> Iterator[dg.AssetCheckResult]:
    """Yields what the checks find once the asset graph knows of a step's recordings.

    Args:
        inputs: of the step.
        summary: of its attempts.
    """
    yield _check_complete(inputs)
    yield _check_retries(summary, inputs.settings.inference.retry_budget)


def _check_complete(inputs: StepInputs) -> dg.AssetCheckResult:
    lacking = sorted(inputs.work.lacking(inputs.stage))
    return dg.AssetCheckResult(
        check_name=CHUNKS_COMPLETE,
        passed=not lacking,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_DESCRIPTIONS[CHUNKS_COMPLETE],
        metadata={
            "violations": len(lacking),
            "examples": "; ".join(shorten(lacking, _SHOWN)) or "-",
        },
    )


def _check_retries(summary: Summary, budget: float) -> dg.AssetCheckResult:
    worst = summary.worst(_SHOWN)
    return dg.AssetCheckResult(
        check_name=RETRY_BUDGET,
        passed=is_tolerated(worst.n_chunks, budget, summary.n_chunks),
        severity=dg.AssetCheckSeverity.WARN,
        description=_DESCRIPTIONS[RETRY_BUDGET],
        metadata={
            "violations": worst.n_chunks,
            "chunks": summary.n_chunks,
            "retries": summary.n_retries,
            "examples": "; ".join(str(worst).splitlines()) or "-",
        },
    )
