"""BADC's errors as Dagster failures: the one place where they are mapped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from badc_core.errors import BadcError, RecordingBusy, RecordingUnattended
from badc_core.units import counted, shorten

RECORDINGS_FAILED = "failed"
"""Metadata entry of a failure: the recordings that failed, and why, or of one why it did."""

LEFT_TO_OTHERS = "left_to_other_runs"
"""Metadata entry of a failure: the recordings that other runs are at work on."""

UNATTENDED = "left_on_the_cluster"
"""Metadata entry of a failure: those of them whose run nobody is known to follow, and why."""

COMPLAINT = "complaint"
"""Metadata entry of a failure: what is wrong apart from the recordings that failed."""

_SHOWN = 20


def failure_of(bad: Mapping[str, BadcError], n_recordings: int, complaint: str = "") -> dg.Failure:
    """Returns the failure that names what went wrong with which recordings.

    Args:
        bad: recording_id -> why.
        n_recordings: how many the step had.
        complaint: what else is wrong.
    """
    paragraphs = [_summary(bad, n_recordings), complaint]
    metadata: dict[str, dg.MetadataValue] = {}
    if bad:
        reasons = {one: str(why) for one, why in bad.items()}
        metadata[RECORDINGS_FAILED] = dg.MetadataValue.json(reasons)
    busy = [one for one, why in bad.items() if isinstance(why, RecordingBusy)]
    if busy:
        metadata[LEFT_TO_OTHERS] = dg.MetadataValue.json(busy)
    unattended = {
        one: f"{why.what}. {why.remedy}"
        for one, why in bad.items()
        if isinstance(why, RecordingUnattended)
    }
    if unattended:
        metadata[UNATTENDED] = dg.MetadataValue.json(unattended)
    if complaint:
        metadata[COMPLAINT] = dg.MetadataValue.text(complaint)
    return dg.Failure("\n".join(filter(None, paragraphs)), metadata=metadata, allow_retries=False)


def _summary(bad: Mapping[str, BadcError], n_recordings: int) -> str:
    if not bad:
        return ""
    if len(bad) == n_recordings == 1:
        return str(next(iter(bad.values())))
    head = f"{len(bad)} of {counted(n_recordings, 'recording')} failed:"
    return "\n  ".join([head, *shorten([f"{one}: {error}" for one, error in bad.items()], _SHOWN)])


@contextmanager
def as_failures() -> Iterator[None]:
    """Turns a `BadcError` into a failure that shows its sentence instead of a traceback."""
    try:
        yield
    except BadcError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
