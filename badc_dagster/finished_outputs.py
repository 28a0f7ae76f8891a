"""Outputs of a step that are finished and not in the asset graph yet: how many wait for a commit.

Where results are committed, some go into each commit: one for each recording would cost a second
each, and an archive has a million. What a commit says is in `badc_core/stages/step_records.py`.
"""

import time
from collections.abc import Mapping
from typing import Any

from badc_core.errors import BadcError, RecordingBusy
from badc_core.outcomes import Outcome
from badc_core.provenance.commits import Commits
from badc_core.stages.step_inputs import StepInputs
from badc_core.stages.step_records import StageRecords, written_files

_MOST = 100
"""Recordings in a commit; each keeps a file or two open meanwhile; 1,024 is a usual limit."""

_LONGEST_S = 30.0
"""Between two commits, as long as outputs come; a commit takes one or two seconds."""


class FinishedOutputs:
    """The outputs since the last commit.

    Args:
        inputs: of the step, which has not begun its work.
        commits: of the dataset, whose settings and registry are committed.

    Raises:
        ConfigInvalid, DatasetInvalid: those were damaged meanwhile.
    """

    def __init__(self, inputs: StepInputs, commits: Commits) -> None:
        self._inputs = inputs
        self._commits = commits
        self._records: StageRecords | None = None
        if commits.are_made:
            ids = [one.recording_id for one in inputs.recordings]
            self._records = StageRecords(inputs.stage, inputs.dataset, ids)
        self._waiting: list[tuple[Outcome[Any], Any]] = []
        self._since_s = time.monotonic()

    def add(self, outcome: Outcome[Any], output: Any) -> None:
        """Adds a good recording's outcome, with what the asset graph gets to know of it."""
        self._waiting.append((outcome, output))

    @property
    def are_enough(self) -> bool:
        """Whether they should be committed now; at once where there are no commits."""
        is_late = time.monotonic() - self._since_s > _LONGEST_S
        return not self._commits.are_made or is_late or len(self._waiting) >= _MOST

    def commit(self) -> tuple[str, list[tuple[Outcome[Any], Any]]]:
        """Returns the commit of what was added since the last one, or nothing, and what that was.

        Raises:
            ProgramMissing, RepositoryFailed: commits are required, and this one cannot be made.
        """
        taken, self._waiting = self._waiting, []
        self._since_s = time.monotonic()
        if not taken or self._records is None or not self._commits.are_made:
            return "", taken
        ids = sorted(outcome.recording_id for outcome, _ in taken)
        dataset, stage = self._inputs.dataset, self._inputs.stage
        notes = [note(one) for one in ids for note in (dataset.failure, dataset.fingerprints)]
        files = [*written_files(stage, dataset, ids), *notes]
        return self._commits.commit(files, self._records.of(ids)), taken

    def commit_failures(self, errors: Mapping[str, BadcError]) -> None:
        """Commits why recordings have no output; what another run is at work on has not failed."""
        failed = [one for one, error in errors.items() if not isinstance(error, RecordingBusy)]
        if failed:
            notes = [self._inputs.dataset.failure(one) for one in failed]
            self._commits.commit(notes, f"{self._inputs.stage}: failed recordings")
