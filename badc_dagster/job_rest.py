"""What is left to do of a job that is resumed: what it was to do, and nobody has done since."""

import os
from collections.abc import Collection, Mapping

import dagster as dg

from badc_core.integrity.job_outputs import JobCheck
from badc_core.jobs.manifest_files import read_job
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.values import read_time
from badc_core.reports.corpus_damage import explain_corpus_damage
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import EVERY_EXPORT
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.due import Progress
from badc_dagster.fingerprint_tags import recorded_event_ids
from badc_dagster.partitions import asset_key
from badc_dagster.run_jobs import COMMAND
from badc_dagster.taking_over import GraphPlace


class JobRest:
    """What is left to do of a job in one dataset.

    An output that a later run made stays, whatever settings it had. Which are later is known from
    the asset graph: a file that version control has put in place again is not made since.

    Args:
        job: the job.
        place: the dataset, under the job's settings, and where it is in the asset graph.
        check: what comparing the job's outputs came to.

    Attributes:
        job: the job.
        recordings: that it is about.
        stages: that it was to run.
        settled: stage -> recordings that are as they should be, or gone; empty before the end.
    """

    def __init__(self, job: RunJob, place: GraphPlace, check: JobCheck) -> None:
        self.job = job
        self._instance, self._connection, self._dataset = place
        self.recordings = frozenset(job.read_recordings(self._connection.name))
        self.settled: Mapping[str, Collection[str]] = {}
        self.stages = _planned(job)
        self._since_s = read_time(read_job(job.folder).get("created_at")).timestamp()
        self._kept = {
            stage: check.good[stage] | self._made_since(stage, check.good[stage])
            for stage in STAGES
        }

    def current(self) -> dict[str, int]:
        """Returns stage of the job -> its recordings of which nothing is left to do, at the end."""
        return {
            one: len(self.recordings.intersection(self.settled.get(one, ())))
            for one in STAGES
            if one in self.stages
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
            # Under the job's settings, what a later run made may be made from nothing current.
            for one in self._kept[stage] & self.recordings - due.keys():
                progress.current[stage].setdefault(one, "")
            for follower in later:  # what is made from something new is made again
                self._kept[follower] -= due.keys()

    def has_corpus(self, is_changed: bool) -> bool:
        """Returns whether the report of all recordings is part of the rest.

        Args:
            is_changed: stages have been run.
        """
        if self.stages.isdisjoint(CORPUS_ASSETS):
            return False
        last = self._instance.get_latest_materialization_event(
            asset_key(self._connection, "corpus_report")
        )
        is_new = last is not None and last.timestamp > self._since_s
        is_made = is_new and self._dataset.corpus.html.exists()
        return is_changed or not is_made or bool(explain_corpus_damage(self._dataset))

    def _made_since(self, stage: str, good: Collection[str]) -> set[str]:
        """Returns recordings whose output was made after the job began, and is there."""
        key = asset_key(self._connection, stage)
        earlier = dg.AssetRecordsFilter(key, before_timestamp=self._since_s)
        last = self._instance.fetch_materializations(earlier, limit=1).records
        dirty = Work(self._dataset.work_folder).dirty(stage)
        others = sorted(self.recordings - dirty - set(good))
        made = recorded_event_ids(self._instance, key, others)
        return {
            one
            for one, event_id in made.items()
            if (not last or event_id > last[0].storage_id)
            and all(map(os.path.lexists, STAGES[stage].outputs(self._dataset, one)))
        }


def _planned(job: RunJob) -> frozenset[str]:
    """Returns the stages that a job was to run."""
    everything = frozenset((*STAGES, *CORPUS_ASSETS, *EVERY_EXPORT))
    if job.read().get("started_by") == COMMAND:
        return everything
    return everything & {one.rpartition("__")[2] for one in job.read_stages()} or everything
