"""Commits of what `badc infer run` and `badc infer orchestrate` write, and what they say.

The records of the stages' results are in `badc_core/stages/step_records.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from badc_core.datasets.dataset import Dataset
from badc_core.errors import RepositoryFailed
from badc_core.inference.run_spec import RunSpec
from badc_core.provenance.commits import Commits, size_commits
from badc_core.provenance.datalad import below
from badc_core.provenance.records import RunRecord
from badc_core.stages.step_records import commit_leftovers, dataset_files, setting_words
from badc_core.telemetry.summary import summary_path, workers_path


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended.

    Attributes:
        spec: what was run.
        recording_ids: at least one.
        sources: the files with the sound, absolute.
    """

    spec: RunSpec
    recording_ids: tuple[str, ...]
    sources: tuple[Path, ...]

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Folders with results."""
        return tuple(self.spec.output.recording(one) for one in self.recording_ids)

    @property
    def telemetry(self) -> tuple[Path, ...]:
        """What was measured."""
        log = self.spec.telemetry_log
        return log, summary_path(log), workers_path(log)


class RunCommits:
    """Commits runs over the manifests of one dataset: each by itself, or many together.

    As a context manager it commits at its end, however that comes, the runs that still wait.

    Args:
        dataset: under the settings of the runs; None outside one.
        is_required: whether commits are required, which they cannot be outside a dataset.
        n_runs: how many there will be.
        warn: gets the sentence that says why nothing is committed.

    Raises:
        ProgramMissing, RepositoryFailed: commits are required and impossible.
    """

    def __init__(
        self, dataset: Dataset | None, is_required: bool, n_runs: int, warn: Callable[[str], object]
    ) -> None:
        if dataset is None and is_required:
            what = "the manifest is in no dataset, so results cannot be committed"
            raise RepositoryFailed(what, "", "Give --dataset-root, or leave out --record-datalad")
        self._dataset = dataset
        self._commits = None if dataset is None else Commits(dataset, warn)
        self._size = size_commits(n_runs)
        self._waiting: list[FinishedRun] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.commit()

    def commit_leftovers(self) -> None:
        """Commits what earlier processes did not, such as one that was killed."""
        if self._dataset is not None and self._commits is not None:
            commit_leftovers(self._dataset, self._commits)

    def add(self, run: FinishedRun) -> None:
        """Commits a run, now or with others."""
        self._waiting.append(run)
        if len(self._waiting) >= self._size:
            self.commit()

    def commit(self) -> None:
        """Commits the runs that still wait."""
        runs, self._waiting = self._waiting, []
        if not runs or self._dataset is None or self._commits is None:
            return
        if self._commits.are_made:
            written = (path for one in runs for path in (*one.outputs, *one.telemetry))
            self._commits.commit(written, _join([_record(self._dataset, one) for one in runs]))

    def commit_made_of_them(self, paths: Iterable[Path], record: RunRecord) -> None:
        """Commits what was made of the runs' results, as far as it is in the dataset.

        Args:
            paths: files and folders, absolute.
            record: how they came about.
        """
        if self._dataset is not None and self._commits is not None:
            inside = [one for one in paths if one.is_relative_to(self._dataset.root)]
            if inside:
                self._commits.commit(inside, record)


def _record(dataset: Dataset, run: FinishedRun) -> RunRecord:
    """Returns the record of one run; its command analyses every chunk again."""
    root, spec, (manifest,) = dataset.root, run.spec, run.spec.manifests
    first, *others = run.recording_ids
    log = dataset.work_folder / "telemetry" / f"redo_{first}.jsonl"
    words = ["badc", "infer", "run", "--dataset-root", ".", "--no-resume-completed"]
    words += ["--no-record-datalad", "--output-dir", below(root, spec.output.folder)]
    words += ["--telemetry-log", below(root, log), *setting_words(dataset)]
    folder = spec.chunks_dir if spec.chunk_folder is None else spec.chunk_folder.parent
    words += [] if folder is None else ["--chunks-dir", below(root, folder)]
    words += ["--allow-partial-chunks"] if spec.allow_partial_chunks else []
    read = [manifest, *run.sources, *(one for one in dataset_files(dataset) if one.exists())]
    return RunRecord(
        message=f"Detect in {first}" + (f" and {len(others)} more" if others else ""),
        commands=([*words, "--", below(root, manifest)],),
        inputs=tuple(below(root, one) for one in read),
        outputs=tuple(below(root, one) for one in run.outputs),
    )


def _join(records: Sequence[RunRecord]) -> RunRecord:
    """Returns one record for several."""
    first, *others = records
    if not others:
        return first
    return RunRecord(
        message=f"{first.message} to {others[-1].message}, {len(records)} runs",
        commands=tuple(command for one in records for command in one.commands),
        inputs=tuple(dict.fromkeys(path for one in records for path in one.inputs)),
        outputs=tuple(path for one in records for path in one.outputs),
    )
