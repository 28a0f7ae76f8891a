"""What a step needs to do its work, computed beforehand: plain data that any machine can read.

A step's body takes these inputs and files, and nothing else: no Dagster instance, no list of the
whole archive. How they are computed is in `badc_dagster/host_inputs.py`.
"""

import json
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from badc_core.datasets.dataset import Dataset
from badc_core.errors import RecordingUnknown
from badc_core.outcomes import Outcome, for_each
from badc_core.provenance.dropping import FetchedSounds
from badc_core.provenance.fetching import Fetcher
from badc_core.recordings.registered import RegisteredRecording
from badc_core.settings import Settings
from badc_core.stages.contents import needed_by
from badc_core.stages.stage import STAGES
from badc_core.stages.work import RecordingWork, Work

T = TypeVar("T")


@dataclass(frozen=True)
class RecordingInput:
    """What a step needs to know of one recording.

    Attributes:
        recording_id: which.
        fingerprint: the output should get; empty where it follows from the file's content, which
            only the step reads.
        registered: the recording's row of the registry, for a stage that reads the file itself.
    """

    recording_id: str
    fingerprint: str = ""
    registered: RegisteredRecording | None = None

    def require_row(self) -> RegisteredRecording:
        """Returns the recording's row of the registry.

        Raises:
            RecordingUnknown: it has none.
        """
        if self.registered is None:
            what = "no recording of this name in the dataset"
            raise RecordingUnknown(what, self.recording_id, "Run: badc scan DATASET")
        return self.registered


@dataclass(frozen=True)
class StepInputs:
    """One step: a stage over some recordings of a dataset.

    Attributes:
        stage: its name in `STAGES`.
        root: the dataset's folder.
        settings: the dataset's, with the run's overrides laid on.
        work_folder: where work in progress is written down.
        run_id: of the run, for names of logs.
        recordings: in the order they should be worked on.
    """

    stage: str
    root: Path
    settings: Settings
    work_folder: Path
    run_id: str
    recordings: tuple[RecordingInput, ...]

    @property
    def dataset(self) -> Dataset:
        """The dataset under these settings; `badc.toml` is not read again."""
        return Dataset(self.root, self.settings)

    @property
    def work(self) -> Work:
        """Which recordings are in work."""
        return Work(self.work_folder)

    @property
    def recording_ids(self) -> tuple[str, ...]:
        """The recordings, in order."""
        return tuple(one.recording_id for one in self.recordings)

    @property
    def was_killed(self) -> bool:
        """Whether a run of the stage was killed, or is at work now.

        Only then can there be files half written, which to look for takes as long as the archive
        is large.
        """
        return bool(self.work.dirty(self.stage))

    def require_finished_sources(self, recording_id: str) -> None:
        """Returns if what a recording's output is made from may be read.

        Raises:
            RecordingBusy, InputOutdated: another run is at work on it, or it is not finished.
        """
        for stage in STAGES[self.stage].inputs:
            self.work.require_finished(stage, recording_id)

    def to_json(self) -> str:
        """Returns the inputs as text."""
        content: dict[str, Any] = {
            **vars(self),
            "root": str(self.root),
            "settings": self.settings.model_dump(mode="json"),
            "work_folder": str(self.work_folder),
            "recordings": [asdict(one) for one in self.recordings],
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the inputs that `to_json` wrote."""
        content = json.loads(text)
        return cls(
            stage=content["stage"],
            root=Path(content["root"]),
            settings=Settings.model_validate(content["settings"]),
            work_folder=Path(content["work_folder"]),
            run_id=content["run_id"],
            recordings=tuple(_recording_input(one) for one in content["recordings"]),
        )


def each_recording(
    inputs: StepInputs, make: Callable[[RecordingInput], T], n_threads: int = 1
) -> Generator[Outcome[T], None, None]:
    """Yields what became of every recording of a step, each in work until it is committed.

    Its sound is released before the commit, since many recordings may be waiting for theirs.

    Args:
        inputs: the step.
        make: makes and writes one recording's output.
        n_threads: how many recordings at once.
    """
    by_id = {one.recording_id: one for one in inputs.recordings}
    work = inputs.work

    def make_one(recording_id: str) -> tuple[T, RecordingWork]:
        begun = work.begin(inputs.stage, recording_id)
        try:
            inputs.require_finished_sources(recording_id)
            with contents.using(recording_id):
                return make(by_id[recording_id]), begun
        except BaseException:
            begun.leave()
            raise

    with fetching(inputs) as contents:
        for outcome in for_each(by_id, make_one, n_threads, contents.stop_waiting):
            if outcome.value is None:
                yield Outcome(outcome.recording_id, error=outcome.error)
            else:
                value, begun = outcome.value
                yield Outcome(outcome.recording_id, value, on_commit=begun.commit)


def fetching(inputs: StepInputs) -> Fetcher:
    """Returns what fetches the contents that a step reads, some recordings ahead of its body."""
    dataset = inputs.dataset
    sounds = FetchedSounds(dataset.root, inputs.work_folder, dataset.settings.datalad.drop_after)
    stage = STAGES[inputs.stage]
    needs = [
        needed_by(stage, dataset, one.recording_id, one.registered) for one in inputs.recordings
    ]
    return Fetcher(needs, sounds)


def _recording_input(content: dict[str, Any]) -> RecordingInput:
    row = content.pop("registered")
    return RecordingInput(**content, registered=RegisteredRecording(**row) if row else None)
