"""Batches outside, stages inside: some recordings go through all stages before the next begin.

So the first results of an archive of any size come within minutes. A run takes one stage over a
range of a batch, so that a bad recording never costs another its later stages.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, StoppedAtFailure
from badc_core.provenance.dropping import FetchedSounds
from badc_core.recordings.failures import read_failures
from badc_core.recordings.recording import total_audio_s
from badc_core.recordings.registry import read_rows
from badc_core.slurm.packing import most_recordings
from badc_core.stages.stage import STAGES, Stage
from badc_core.telemetry.progress import Watcher, watched_by
from badc_dagster.due import DueFinder, Progress, find_busy
from badc_dagster.in_process import InProcessRuns
from badc_dagster.jobs import PIPELINE_JOB
from badc_dagster.partitions import KeyOrder, range_tags, run_size

FIRST_BATCH = 50
"""Recordings in the first batch, few, so that there soon is something to look at."""

FETCHED_BATCH = 20
"""Recordings in every batch whose sounds are dropped after: all of these are here at a time."""

BATCH = min(stage.batch_size for stage in STAGES.values())
"""Recordings in every other batch: a batch takes one run of each stage."""


Watch: TypeAlias = Callable[[str, int, float | None, int], Watcher]
"""Returns the watcher of a stage over one batch: the stage's name, how many recordings of the batch
it takes, seconds of sound in them (None where no detector runs), and how many of later batches."""


class BatchRun:
    """One pass over the recordings that are not finished.

    Args:
        instance: holds runs and events.
        connection: the dataset's place in the asset graph.
        dataset: under the settings that the run begins with.
        runs: executes jobs.
        watch: returns what shows a stage's progress; None where nobody looks on.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        runs: InProcessRuns,
        watch: Watch | None = None,
    ) -> None:
        self.finder = DueFinder(instance, connection, dataset)
        self.busy: set[str] = set()
        self._n_later: Counter[str] = Counter()
        self._instance = instance
        self._connection = connection
        self._dataset = dataset
        self._runs = runs
        self._watch = watch

    def run(
        self, progress: Progress, wanted: Sequence[str], after_first: Callable[[], None]
    ) -> None:
        """Takes recordings through all stages, batch by batch; stops if settings become invalid.

        Args:
            progress: how far they are; brought up to date as stages end.
            wanted: the recordings to take.
            after_first: called after the first batch if there are more.
        """
        if not wanted:
            return
        keys = KeyOrder.read(self._instance, self._connection)
        self._n_later = _count_not_current(progress, wanted)
        try:
            for number, batch in enumerate(split_batches(keys.sort(wanted), *self._sizes())):
                if number == 1:
                    after_first()
                self._n_later -= _count_not_current(progress, batch)
                if number:
                    self.refresh(progress, batch)
                with self._keeping_sounds(batch):
                    for stage in STAGES.values():
                        if self._run_stage(stage, batch, progress, keys):
                            self.refresh(progress, batch)
                        self._stop_at_failures(batch)
        except BadcError as error:
            self._runs.add_faults([str(error)])

    def _stop_at_failures(self, batch: list[str]) -> None:
        """Raises StoppedAtFailure if something failed, where the settings say so."""
        if not self._dataset.settings.inference.fail_fast:
            return
        failed = read_failures(self._dataset).keys() & set(batch)
        if failed or self._runs.faults:
            what = "stopped at the first failure, as inference.fail_fast says"
            remedy = "What is done is kept; run again to go on"
            raise StoppedAtFailure(what, min(failed, default=""), remedy)

    def refresh(self, progress: Progress, recording_ids: Sequence[str]) -> None:
        """Brings the progress of some recordings up to date.

        Other runs may have finished them meanwhile, and every step opens the dataset anew: so
        this reads the settings, the deployments and the registry anew too.

        Raises:
            DatasetInvalid, DetectorMissing, ConfigInvalid: nothing can be run any more.
        """
        self._dataset = self._runs.open_dataset()
        self.finder = DueFinder(self._instance, self._connection, self._dataset)
        rows = read_rows(self._dataset.registry, recording_ids)
        progress.replace(recording_ids, self.finder.find_some(rows.values()))
        self._runs.job.narrow(progress)

    def _run_stage(
        self, stage: Stage, batch: list[str], progress: Progress, keys: KeyOrder
    ) -> bool:
        """Runs a stage over what is due of a batch; returns whether anything was."""
        due = [one for one in batch if one in progress.due[stage.name]]
        if not due:
            return False
        busy = find_busy(self._instance, self._connection, keys).intersection(due)
        self.busy |= busy
        due = [one for one in due if one not in busy]
        with self._watched(stage, due):
            for some in keys.ranges(due, run_size(self._dataset.settings, stage)):
                self._runs.execute(PIPELINE_JOB, range_tags(some), [stage.name])
        return bool(due)

    def _sizes(self) -> tuple[int, int]:
        """Returns how many recordings are in the first batch, and in every other."""
        settings = self._dataset.settings
        if settings.datalad.drop_after:
            return FETCHED_BATCH, FETCHED_BATCH
        if settings.slurm.stages:
            return most_recordings(), most_recordings()
        return FIRST_BATCH, BATCH

    def _keeping_sounds(self, batch: list[str]) -> AbstractContextManager[None]:
        """Keeps what is fetched for a stage for the stages after it, where it is dropped then."""
        dataset = self._dataset
        if not dataset.settings.datalad.drop_after:
            return nullcontext()
        rows = read_rows(dataset.registry, batch).values()
        sounds = FetchedSounds(dataset.root, dataset.work_folder, drops=True)
        return sounds.keeping(dataset.audio(row.path) for row in rows)

    def _watched(self, stage: Stage, due: list[str]) -> AbstractContextManager[None]:
        if self._watch is None or not due:
            return nullcontext()
        audio_s = total_audio_s(self._dataset, due) if stage.runs_detector else None
        return watched_by(self._watch(stage.name, len(due), audio_s, self._n_later[stage.name]))


def _count_not_current(progress: Progress, recording_ids: Sequence[str]) -> Counter[str]:
    """Returns how many recordings each stage may take, after the stages before it."""
    return Counter(
        {
            stage: sum(one not in current for one in recording_ids)
            for stage, current in progress.current.items()
        }
    )


def split_batches(
    recording_ids: Sequence[str], first: int = FIRST_BATCH, others: int = BATCH
) -> Iterator[list[str]]:
    """Yields the recordings in batches, the first one small."""
    start, size = 0, first
    while start < len(recording_ids):
        yield list(recording_ids[start : start + size])
        start, size = start + size, others
