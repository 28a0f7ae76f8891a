"""Everything that is due of a dataset, from its recordings to the report about all of them.

What is due is decided in `due.py`, in which order it is done in `batches.py`.
"""

import os
import shlex
from collections.abc import Collection, Sequence

from badc_core.corpus.speech_tables import require_speech_search
from badc_core.errors import BadcError
from badc_core.provenance.commits import Commits
from badc_core.recordings.failures import StandingFailure, read_failures
from badc_core.recordings.missing import find_missing
from badc_core.recordings.registry import Registry, ScanOutcome, read_registry
from badc_core.reports.corpus_damage import explain_corpus_damage
from badc_core.reports.unmuted import remove_unmuted_pages, remove_unmuted_site
from badc_core.reviews.unmuted_clips import remove_unmuted_clips
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.stage import STAGES
from badc_core.stages.step_records import CORPUS_DETECTIONS, commit_leftovers
from badc_core.stages.work import Work
from badc_core.units import counted
from badc_dagster.batches import BatchRun, Watch
from badc_dagster.command_job import CommandJob
from badc_dagster.corpus_fingerprint import (
    corpus_fingerprints,
    find_due_assets,
)
from badc_dagster.due import Progress, find_busy
from badc_dagster.due_exports import find_due_exports
from badc_dagster.in_process import InProcessRuns, Overrides
from badc_dagster.known_fingerprints import KnownFingerprints, has_changed
from badc_dagster.partitions import KeyOrder, register_keys
from badc_dagster.run_outcomes import RunOutcome
from badc_dagster.taking_over import GraphPlace, Show, take_over_made_elsewhere


class EverythingDue:
    """One pass over what is due.

    Args:
        place: the dataset, and where it is in the asset graph.
        overrides: settings of this pass.
        job: gets to know what is run; if it is resumed, only its recordings are taken.
        tell: show a sentence, and a warning, before anything is run.
    """

    def __init__(
        self, place: GraphPlace, overrides: Overrides, job: CommandJob, tell: tuple[Show, Show]
    ) -> None:
        self._place = place
        self._instance, self._connection, self._dataset = place
        self._job = job
        self._show, self._warn = tell
        self._runs = InProcessRuns(*place, overrides, job)

    def run(
        self,
        limit: int,
        watch: Watch | None,
        read: KnownFingerprints | None = None,
        scanned: ScanOutcome | None = None,
    ) -> RunOutcome:
        """Runs it, and returns what came of it.

        Args:
            limit: at most this many recordings; 0 for all.
            watch: returns what shows the progress of a stage.
            read: all outputs, as a scan has read them just before; None without one.
            scanned: what that scan found of the recordings.

        Raises:
            DetectorMissing, PackageMissing, ConfigInvalid: nothing can be run under these
                settings.
        """
        registry = read_registry(self._dataset.registry)
        batches = BatchRun(*self._place, self._runs, watch)
        known = read
        if known is None or has_changed(self._instance, self._connection, known):
            register_keys(self._instance, self._connection, registry.ids)
            taken = take_over_made_elsewhere(self._place, registry, self._show, self._warn)
            known = taken.known
        if scanned is not None and scanned.registry is registry:
            missing = scanned.missing
        else:
            missing = find_missing(self._dataset, registry)
        progress = batches.finder.find(registry.without(missing), known)
        self._job.narrow(progress)
        wanted = self._choose(registry, progress, limit)
        if wanted:
            require_speech_search(self._dataset)
        self._job.plan(wanted)
        batches.run(progress, wanted, self._show_first_results)
        busy = batches.busy | self._runs.busy
        nothing_done = self._runs.n_runs == 0 and bool(busy)
        self._report_still_due(progress, wanted, busy)
        removed = self._remove_unmuted(registry, missing)
        is_reported = self._bring_corpus_up_to_date((registry, missing))
        self._bring_exports_up_to_date()
        self._refresh_changed(progress, batches, busy)
        commit_leftovers(self._dataset, Commits(self._dataset, self._warn))
        gone = (self._job.recordings or frozenset()).difference(registry.ids)
        settled = {stage: gone.union(ids) for stage, ids in progress.current.items()}
        self._job.conclude(self._runs.faults, settled)
        return RunOutcome(
            job_id=self._job.job_id,
            n_finished=len(progress.finished),
            n_incomplete=len(progress.incomplete),
            failures=standing_failures(self._place, missing),
            n_missing=len(missing),
            faults=tuple(self._runs.faults),
            warnings=(*self._runs.warnings, *removed),
            n_busy=len(busy - self._runs.unattended.keys()),
            unattended=tuple(self._runs.explain_unattended()),
            nothing_to_do=self._runs.n_runs == 0 and not busy,
            nothing_done=nothing_done,
            has_old_report=not is_reported and os.path.lexists(self._dataset.corpus.duckdb),
        )

    def _choose(self, registry: Registry, progress: Progress, limit: int) -> list[str]:
        """Returns the recordings to take."""
        due, of_job = progress.unfinished, self._job.recordings
        unfinished = [
            one for one in registry.ids if one in due and (of_job is None or one in of_job)
        ]
        if limit:
            # What other runs have comes last: it would be left to them.
            keys = KeyOrder.read(self._instance, self._connection)
            busy = find_busy(self._instance, self._connection, keys)
            unfinished = sorted(unfinished, key=lambda one: one in busy)[:limit]
        return unfinished

    def _show_first_results(self) -> None:
        # Where there is a corpus, it is of more than the first batch, and would mix settings.
        # Its content may be elsewhere.
        if not os.path.lexists(self._dataset.corpus.html):
            self._bring_corpus_up_to_date()

    def _report_still_due(self, progress: Progress, wanted: Sequence[str], busy: set[str]) -> None:
        """Adds a fault for recordings that went through the stages well and are due all the same.

        The settings, the deployments or the files changed during the run.
        """
        explained = busy | progress.incomplete | set(read_failures(self._dataset))
        still_due = (progress.unfinished & set(wanted)) - explained
        if still_due and not self._runs.faults:
            sentence = (
                f"{counted(len(still_due), 'recording')} still due, {min(still_due)} for example: "
                "settings, deployments.csv or audio files changed during the run. "
                f"Run: badc run {shlex.quote(str(self._dataset.root))}"
            )
            self._runs.add_faults([sentence])

    def _remove_unmuted(self, registry: Registry, missing: Collection[str]) -> list[str]:
        """Removes pages with speech in them that no run will write again; returns what to say."""
        forgotten = STAGES["report_bundle"].list_made(self._dataset) - set(registry.ids)
        judged = {*missing, *forgotten, *read_failures(self._dataset)}
        removed = remove_unmuted_pages(self._dataset, sorted(judged))
        remove_unmuted_site(self._dataset)  # to be written again next, and that may fail
        root = shlex.quote(str(self._dataset.root))
        said = [
            f"Sounds of {one} removed: they were cut before speech was muted. "
            f"Run: badc review queue {root} --renew {one}"
            for one in remove_unmuted_clips(self._dataset)
        ]
        if removed:
            whose = f"{counted(len(removed), 'page')} removed, of {removed[0]} for example"
            why = "speech in it could not be muted, as its recording is gone or failed"
            said.append(f"{whose}: {why}.")
        return said

    def _refresh_changed(self, progress: Progress, batches: BatchRun, busy: set[str]) -> None:
        """Brings up to date what other runs finished, or what building the corpus found damaged."""
        work = Work(self._dataset.work_folder)
        changed = busy.union(*(work.dirty(stage) for stage in STAGES))
        try:
            if changed:
                batches.refresh(progress, sorted(changed))
        except BadcError as error:
            self._runs.add_faults([str(error)])

    def _bring_corpus_up_to_date(self, seen: tuple[Registry, Sequence[str]] | None = None) -> bool:
        """Makes the report of all recordings where it is due; returns whether it is good then.

        Args:
            seen: all recordings and those without a file, as found before anything was run.
        """
        if not self._job.has_corpus(self._runs.n_runs > 0):
            return True
        registry = read_registry(self._dataset.registry)
        is_as_seen = seen is not None and seen[0] is registry and not self._runs.n_runs
        missing = seen[1] if seen is not None and is_as_seen else None
        wanted = corpus_fingerprints(*self._place, registry, missing)
        due: Sequence[str] = find_due_assets(*self._place, wanted)
        damage = "" if CORPUS_DETECTIONS in due else explain_corpus_damage(self._dataset)
        if damage:
            self._warn(f"The corpus is made again: {damage}.")
            due = CORPUS_ASSETS
        return not due or self._runs.execute("corpus_job", {}, due)

    def _bring_exports_up_to_date(self) -> None:
        """Writes the exports of the corpus as it is, where they are due."""
        due = [one for one in find_due_exports(self._place) if self._job.has_export(one)]
        if due:
            self._runs.execute("export_job", {}, due)


def standing_failures(place: GraphPlace, missing: Collection[str]) -> tuple[StandingFailure, ...]:
    """Returns what failed of a dataset; what is missing cannot be tried again."""
    left = set(missing)
    failures = read_failures(place[2])
    return tuple(note for one, note in failures.items() if one not in left)
