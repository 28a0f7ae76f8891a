"""The one hierarchy of errors a user can meet.

Each says what went wrong, where, and what to do next. How Dagster shows them is decided in
`badc_dagster/failures.py`, not here.
"""

from pathlib import Path
from typing import ClassVar


class BadcError(Exception):
    """A failure with an explanation.

    Args:
        what: what is wrong, without a full stop.
        where: the file, recording or setting concerned; empty when there is none.
        remedy: what to do next, ideally a command.
    """

    retryable: ClassVar[bool] = False
    """Whether trying the same thing again may succeed without anybody changing anything."""

    def __init__(self, what: str, where: str | Path = "", remedy: str = "") -> None:
        super().__init__(what, str(where), remedy)
        self.what = what
        self.where = str(where)
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f". {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"


class ConfigInvalid(BadcError):
    """A setting or option has a value that cannot be used."""


class DatasetInvalid(BadcError):
    """A folder is not a dataset, or lacks what a dataset must have."""


class RecordingUnknown(BadcError):
    """A recording_id is not in the dataset's registry."""


class ContentMissing(BadcError):
    """A file is known but its content is not here (annexed and not fetched, moved, deleted)."""


class UnreadableRecording(BadcError):
    """Audio that cannot be decoded to its end: corrupt, truncated, empty, forbidden, not audio.

    Or read just now: a network disk may give it the next time.
    """

    retryable = True


class ManifestMismatch(BadcError):
    """A chunk manifest does not describe the recording beside it."""


class DetectionsInvalid(BadcError):
    """A detections or effort file breaks the schema or its promises."""


class DetectorMissing(BadcError):
    """A detector's package, model file or runtime is not installed."""


class DetectorFailed(BadcError):
    """A detector gave up on a chunk, or its worker died on it."""

    retryable = True


class OutOfMemory(DetectorFailed):
    """A device's memory, or the machine's, did not hold what a detector wanted at once."""


class DetectorTimeout(DetectorFailed):
    """A worker did not answer in time and was ended."""


class OutputUnwritable(BadcError):
    """An output cannot be written where it belongs: forbidden, read-only, no place for a file."""


class StorageFull(BadcError):
    """An output could not be written: the disk or a quota is full."""

    retryable = True


class RecordingBusy(BadcError):
    """Another process is at work on a recording, whose outputs only one may write at a time."""

    retryable = True


class LeasesBusy(BadcError):
    """Another process keeps everybody from fingerprint_inputs about leases of devices."""

    retryable = True
