"""Why recordings failed: one small file each, there only while the failure stands.

The orchestrator's log has the history; this is what reports and `badc status` show today.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError


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


def note_failure(dataset: Dataset, recording_id: str, stage: str, error: BadcError) -> None:
    """Remembers a failure, in place of an earlier one."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    note = StandingFailure(recording_id, stage, str(error), now)
    write_text(dataset.failure(recording_id), json.dumps(asdict(note), ensure_ascii=False) + "\n")


def clear_failure(dataset: Dataset, recording_id: str) -> None:
    """Forgets a failure, since the recording now has a result."""
    dataset.failure(recording_id).unlink(missing_ok=True)


def read_failures(dataset: Dataset) -> dict[str, StandingFailure]:
    """Returns all standing failures by recording_id."""
    folder = dataset.failure("x").parent
    if not folder.is_dir():
        return {}
    notes = (
        StandingFailure(**json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("[!.]*.json"))
    )
    return {note.recording_id: note for note in notes}
