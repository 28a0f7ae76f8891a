"""What is left to do of a job that is resumed: what it was to do, and nobody has done since."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.integrity.job_outputs import JobCheck
from badc_core.jobs.manifest_files import read_job
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.values import read_time
from badc_core.reports.corpus import explain_corpus_damage
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.due import Progress
from badc_dagster.run_jobs import COMMAND


class JobRest:
    """What is left to do of a job in one dataset.

    An output that a later run made stays, whatever settings it had.

    Args:
        job: the job.
        dataset: the dataset, under the job's settings.
        name: of the dataset.
        check: what comparing the job's outputs came to.

    Attributes:
        job: the job.
        recordings: that it is about.
        stages: that it was to run.
    """

    def __init__(self, job: RunJob, dataset: Dataset, name: str, check: JobCheck) -> None:
        self.job = job
        self.recordings = frozenset(job.read_recordings(name))
        self._dataset = dataset
        self.stages = _planned(job)
        self._since_s = read_time(read_job(job.folder).get("created_at")).timestamp()
        self._kept = {
            stage: check.good[stage] | self._made_since(stage, check.good[stage])
            for stage in STAGES
        }

    def narrow(self, progress: Progress) -> None:
        """Takes out of what is due what is no part of the rest."""
        later = list(STAGES)
        for stage in STAGES:
            later.remove(stage)
            due = progress.due[stage]
            for one in list(due):
                is_kept = one in self._kept[stage] and one not in progress.incomplete
                if is_kept:
                    progress.current[stage][one] = due[one]
                if is_kept or stage not in self.stages:
                    del due[one]
            for follower in later:  # what is made from something new is made again
                self._kept[follower] -= due.keys()

    def has_corpus(self, is_changed: bool) -> bool:
        """Returns whether the report of all recordings is part of the rest.

        Args:
            is_changed: stages have been run.
        """
        if self.stages.isdisjoint(CORPUS_ASSETS):
            return False
        is_made = self._is_new([self._dataset.corpus.html])
        return is_changed or not is_made or bool(explain_corpus_damage(self._dataset))

    def _made_since(self, stage: str, good: Collection[str]) -> set[str]:
        dirty = Work(self._dataset.work_folder).dirty(stage)
        return {
            one
            for one in self.recordings - dirty - set(good)
            if self._is_new(STAGES[stage].outputs(self._dataset, one))
        }

    def _is_new(self, paths: Iterable[Path]) -> bool:
        """Returns whether files are there, and younger than the job."""
        try:
            return all(os.lstat(one).st_mtime > self._since_s for one in paths)
        except FileNotFoundError:
            return False


def _planned(job: RunJob) -> frozenset[str]:
    """Returns the stages that a job was to run."""
    everything = frozenset((*STAGES, *CORPUS_ASSETS))
    if job.read().get("started_by") == COMMAND:
        return everything
    return everything & {one.rpartition("__")[2] for one in job.read_stages()} or everything
