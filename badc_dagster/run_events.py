"""What the events of a finished run say: whether it was interrupted, what stopped it.

How our own errors become failures is in `failures.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg

from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import form_of
from badc_dagster.failures import COMPLAINT, LEFT_TO_OTHERS, RECORDINGS_FAILED, UNATTENDED
from badc_dagster.step_checks import CHUNKS_COMPLETE


def was_interrupted(events: Sequence[dg.DagsterEvent]) -> bool:
    """Returns whether a step was ended by Ctrl-C, which Dagster records as a failure."""
    errors = [event.step_failure_data.error for event in events if event.is_step_failure]
    return any(
        error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__
        for error in errors
    )


def faults(events: Sequence[dg.DagsterEvent]) -> Iterator[str]:
    """Yields what stopped a run or its steps, leaving out the failures of single recordings.

    Checks that failed are among them, except those of a step that failed itself, whose failure says
    it already, and `chunks_complete`: that is about all recordings, which a later run may mend.
    """
    failed = {event.step_key: event.step_failure_data for event in events if event.is_step_failure}
    for step, data in failed.items():
        failure = data.user_failure_data
        if failure is None:
            yield _whose(step) + _sentence(data.error)
        elif COMPLAINT in failure.metadata:
            yield str(failure.metadata[COMPLAINT].value)
        elif RECORDINGS_FAILED not in failure.metadata:
            yield _whose(step) + (failure.description or "unknown failure")
    if not failed:
        # The dataset could not be opened, say, so that no step was begun.
        yield from (_sentence(one.job_failure_data.error) for one in events if one.is_job_failure)
    others = [event for event in events if event.step_key not in failed]
    checks = _failed_checks(others, dg.AssetCheckSeverity.ERROR)
    yield from (_describe(check) for check in checks if check.check_name != CHUNKS_COMPLETE)


def left_to_others(events: Sequence[dg.DagsterEvent]) -> set[str]:
    """Returns the recordings that steps left alone, since another run is or was at work on them."""
    found = _metadata(events, LEFT_TO_OTHERS)
    return {one for listed in found for one in cast("Sequence[str]", listed)}


def unattended(events: Sequence[dg.DagsterEvent]) -> dict[str, str]:
    """Returns those of them whose run nobody is known to follow, each with why and what to do."""
    found: dict[str, str] = {}
    for reasons in _metadata(events, UNATTENDED):
        found |= cast("Mapping[str, str]", reasons)
    return found


def _metadata(events: Sequence[dg.DagsterEvent], name: str) -> Iterator[Any]:
    """Yields a metadata entry of the failures of steps."""
    for event in events:
        failure = event.step_failure_data.user_failure_data if event.is_step_failure else None
        if failure is not None and name in failure.metadata:
            yield failure.metadata[name].value


def warnings(events: Sequence[dg.DagsterEvent]) -> Iterator[str]:
    """Yields the checks that failed but only warn."""
    yield from map(_describe, _failed_checks(events, dg.AssetCheckSeverity.WARN))


def _failed_checks(
    events: Sequence[dg.DagsterEvent], severity: dg.AssetCheckSeverity
) -> Iterator[dg.AssetCheckEvaluation]:
    for event in events:
        if event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        check = event.asset_check_evaluation_data
        if not check.passed and check.severity == severity:
            yield check


def _describe(check: dg.AssetCheckEvaluation) -> str:
    """Returns a failed check as a sentence or two."""
    examples = check.metadata.get("examples")
    found = f" For example: {examples.value}" if examples is not None else ""
    return f"check {check.check_name} failed. What it checks: {check.description}{found}"


def _whose(step_key: str | None) -> str:
    """Returns how a fault of a step begins that is about all recordings."""
    asset = (step_key or "").rpartition("__")[2]
    return f"failed  {asset}  " if asset in CORPUS_ASSETS or form_of(asset) else ""


def _sentence(error: Any) -> str:
    """Returns the message of the error behind Dagster's own."""
    while error is not None and error.cause is not None and error.cls_name.startswith("Dagster"):
        error = error.cause
    message = error.message.strip() if error else "unknown failure"
    return re.sub(r"^badc_core\.errors\.\w+: ", "", message)
