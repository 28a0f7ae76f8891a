"""The one hierarchy of errors a user can meet.

Each says what went wrong, where, and what to do next. `badc_dagster/failures.py` shows them in
Dagster.
"""

from pathlib import Path
from typing import ClassVar


class BadcError(Exception):
    """A failure with an explanation.

    Args:
        what: what is wrong, without a full stop.
        where: the file, recording or setting; empty if there is none.
        remedy: what to do next, ideally a command.
    """

    retryable: ClassVar[bool] = False
    """Whether trying again may succeed without any change."""

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


class OptionInvalid(ConfigInvalid):
    """What was typed cannot be used, whatever is in the files: `where` names the option.

    The one kind of error with exit code 2 (`cli/options.py`); all others have 1.
    """


class DatasetInvalid(BadcError):
    """A folder is not a dataset, or lacks what a dataset must have."""


class RecordingUnknown(BadcError):
    """A recording_id is not in the dataset's registry."""


class ContentMissing(BadcError):
    """A known file's content is not here (annexed and not fetched, moved, deleted)."""


class ProgramMissing(BadcError):
    """A program that BADC starts is not installed."""


class PackageMissing(BadcError):
    """A Python package that only some commands need is not installed."""


class RepositoryFailed(BadcError):
    """git, git-annex or DataLad refused or failed; its own words are in the message."""


class UnreadableRecording(BadcError):
    """Audio that cannot be decoded to its end: corrupt, truncated, empty, forbidden, not audio.

    Retryable, since a network disk may deliver it the next time.
    """

    retryable = True


class ChannelMissing(BadcError):
    """A recording has fewer channels than the one that is to be analysed needs."""


class ManifestMismatch(BadcError):
    """A chunk manifest does not describe the recording beside it."""


class DetectionsInvalid(BadcError):
    """A detections or effort file does not follow the schema."""


class InputOutdated(BadcError):
    """What a step reads is not finished, or was made with settings that do not serve today's."""


class RawDetectionsInvalid(BadcError):
    """A file with a detector's raw results is damaged, or of another schema or recording."""


class DetectorMissing(BadcError):
    """A detector's package, model file or runtime is not installed."""


class DetectorFailed(BadcError):
    """A detector gave up on a chunk, or its worker died on it."""

    retryable = True


class StageFailed(BadcError):
    """A stage of a pipeline failed, ran out of time, or lacks something it should have written."""

    retryable = True


class StageBusy(BadcError):
    """Another process works on a stage of a job; only one may write its outputs at a time."""

    retryable = True


class StoppedAtFailure(BadcError):
    """A run that is to stop at the first failure has met one."""


class OutOfMemory(DetectorFailed):
    """The memory of a device or the machine was not enough for a detector."""


class DetectorTimeout(DetectorFailed):
    """A worker did not answer in time and was ended."""


class OutputUnwritable(BadcError):
    """An output cannot be written: no permission, read-only, or not a place for files."""


class StorageFull(BadcError):
    """An output could not be written: the disk or a quota is full."""

    retryable = True


class RecordingBusy(BadcError):
    """Another process works on a recording; only one may write its outputs at a time."""

    retryable = True


class RecordingUnattended(RecordingBusy):
    """A run on a cluster has a recording, and no process is known to follow that run."""


class LeasesBusy(BadcError):
    """Another process keeps the lease folder locked."""

    retryable = True


class JobUnknown(BadcError):
    """There is no such job, or a file or folder of it cannot be read."""


class ArchiveInvalid(BadcError):
    """An archive, or a copy, is not what was written to it."""


class JobBusy(BadcError):
    """A job is being worked on, and what was asked for would harm that."""

    retryable = True


class SlurmRefused(BadcError):
    """Slurm refuses a job; its own words are in the message."""


class SlurmSilent(BadcError):
    """Slurm does not answer, so nothing is known of jobs."""

    retryable = True
