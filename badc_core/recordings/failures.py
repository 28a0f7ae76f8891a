"""Why recordings failed: a small file for each, until it has a result.

Dagster's event log has the history; these files are what reports and `badc status` show.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import require_fetched
from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, DatasetInvalid


@dataclass(frozen=True)
class StandingFailure:
    """A recording without a result.

    Attributes:
        stage: which asset failed.
        error: the sentence the user saw.
        failed_at: UTC, ISO 8601.
    """

    recording_id: str
    stage: str
    error: str
    failed_at: str


_FAILURE = TypeAdapter(StandingFailure)


def note_failure(dataset: Dataset, recording_id: str, stage: str, error: BadcError) -> None:
    """Records a failure, in place of an earlier one."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    note = StandingFailure(recording_id, stage, str(error), now)
    write_text(dataset.failure(recording_id), json.dumps(asdict(note), ensure_ascii=False) + "\n")


def clear_failure(dataset: Dataset, recording_id: str) -> None:
    """Removes the record of a failure, since the recording now has a result."""
    dataset.failure(recording_id).unlink(missing_ok=True)


def read_failures(dataset: Dataset) -> dict[str, StandingFailure]:
    """Returns all standing failures by recording_id.

    Raises:
        DatasetInvalid: a file is damaged.
        ContentMissing: one is annexed, and its content is not here.
    """
    failures = {}
    for path in sorted(dataset.failure("x").parent.glob("[!.]*.json")):
        require_fetched(path)
        try:
            failure = _FAILURE.validate_json(path.read_bytes())
        except ValidationError as error:
            raise DatasetInvalid("not a record of a failure", path, "Delete it") from error
        failures[failure.recording_id] = failure
    return failures
