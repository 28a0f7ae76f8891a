"""Why recordings failed: a small file for each, until it has a result.

Dagster's event log has the history; these files are what reports and `badc status` show.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import lacks_content, require_fetched
from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.provenance.annex import fetch


@dataclass(frozen=True)
class StandingFailure:
    """A recording without a result.

    Attributes:
        stage: which asset failed; empty where only the name of its file is here.
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


def fetch_failures(dataset: Dataset) -> None:
    """Gets the records of failures that are annexed and not here, as far as they can be had."""
    fetch(_files(dataset))


def read_failures(dataset: Dataset) -> dict[str, StandingFailure]:
    """Returns all standing failures by recording_id; of a file that is not here just that.

    Raises:
        DatasetInvalid: a file is damaged.
    """
    found = [_read_failure(path) for path in sorted(_files(dataset))]
    return {one.recording_id: one for one in found}


def _files(dataset: Dataset) -> Iterator[Path]:
    return dataset.failure("x").parent.glob("[!.]*.json")


def _read_failure(path: Path) -> StandingFailure:
    if lacks_content(path):
        why = f"failed elsewhere; to see why, run: datalad get {shlex.quote(str(path))}"
        return StandingFailure(path.stem, "", why, "")
    require_fetched(path)
    try:
        return _FAILURE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatasetInvalid("not a record of a failure", path, "Delete it") from error
