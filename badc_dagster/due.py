"""Which recordings need which asset: the question behind `badc run` and the sensor.

An output is current if it is there, not dirty (`stages/work.py`), and its fingerprint serves as
the one that today's file, settings and code give. One that lacks chunks that failed is due, and
used meanwhile. Which fingerprint an output has is found out in `known_fingerprints.py`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import repeat

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registered import RegisteredRecording
from badc_core.stages.fingerprints import Fingerprints
from badc_core.stages.stage import STAGES, Stage, list_all_made
from badc_core.stages.work import Work
from badc_dagster.known_fingerprints import KnownFingerprints, read_known_fingerprints
from badc_dagster.liveness import is_queue_served, is_working
from badc_dagster.partitions import KeyOrder, asset_key

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Progress:
    """How far a dataset's recordings are.

    Attributes:
        due: stage -> recordings whose inputs are usable and whose output is not current, in
            registry order, with the fingerprint the output should have.
        current: stage -> recordings whose output is current, with its fingerprint.
        incomplete: recordings with a result that lacks chunks that failed; due, but used.
    """

    due: dict[str, dict[str, str]]
    current: dict[str, dict[str, str]]
    incomplete: set[str] = field(default_factory=set)

    @property
    def finished(self) -> set[str]:
        """Recordings with nothing left to do."""
        first, *others = self.current.values()
        return set(first).intersection(*others) - self.incomplete

    @property
    def unfinished(self) -> set[str]:
        """Recordings for which a stage is due."""
        return {one for due in self.due.values() for one in due}

    def replace(self, recording_ids: Iterable[str], newer: "Progress") -> None:
        """Puts what was found out later about some recordings in place of what is known."""
        ids = set(recording_ids)
        for stage in STAGES:
            for known, found in (
                (self.due[stage], newer.due[stage]),
                (self.current[stage], newer.current[stage]),
            ):
                for one in ids:
                    known.pop(one, None)
                known.update(found)
        self.incomplete.difference_update(ids - newer.incomplete)
        self.incomplete.update(newer.incomplete)


class DueFinder:
    """Finds out what is due in one dataset, under its settings of now.

    Raises:
        DetectorMissing, ConfigInvalid: the settings name a detector that cannot run.
    """

    def __init__(
        self, instance: dg.DagsterInstance, connection: Connection, dataset: Dataset
    ) -> None:
        self.fingerprints = Fingerprints(dataset)
        self._instance = instance
        self._connection = connection
        self._dataset = dataset
        self._work = Work(dataset.work_folder)

    def find(
        self, rows: Iterable[RegisteredRecording], known: KnownFingerprints | None = None
    ) -> Progress:
        """Returns how far all recordings of the registry are.

        Args:
            rows: of the registry.
            known: what was just read of all outputs; None to read it.
        """
        return self._find(rows, known or self._read_known(None))

    def find_some(self, rows: Iterable[RegisteredRecording]) -> Progress:
        """Returns how far some recordings are, at a cost that does not depend on the others."""
        some = list(rows)
        return self._find(some, self._read_known([one.recording_id for one in some]))

    def _read_known(self, only: Sequence[str] | None) -> KnownFingerprints:
        return read_known_fingerprints(self._instance, self._connection, self._dataset, only)

    def _find(self, rows: Iterable[RegisteredRecording], known: KnownFingerprints) -> Progress:
        progress = Progress({}, {})
        files = {one.recording_id: self.fingerprints.of_row(one) for one in rows}
        # Files may have gone since all outputs were read.
        made = list_all_made(self._dataset, STAGES) if known.only is None else {}
        usable: dict[str, dict[str, str]] = {}
        for stage in STAGES.values():
            inputs = [usable[name] for name in stage.inputs] or [files]
            wanted = self._want(stage, *inputs)
            present = made.get(stage.name)
            usable[stage.name] = self._judge(stage, wanted, known, progress, present)
        return progress

    def _want(
        self, stage: Stage, first: Mapping[str, str], *others: Mapping[str, str]
    ) -> dict[str, str]:
        """Returns the fingerprints that a stage's outputs should have, of what it is made from."""
        both = list(first)
        for made in others:
            both = [one for one in both if one in made]
        sources = [map(made.__getitem__, both) for made in (first, *others)]
        choices: Iterable[Sequence[str]] = repeat(())
        if stage.choices:
            choices = [self.fingerprints.choices(stage.name, one) for one in both]
        of_each = self.fingerprints.of_each(stage.name, sources, choices)
        return dict(zip(both, of_each, strict=True))

    def _judge(
        self,
        stage: Stage,
        wanted: dict[str, str],
        known: KnownFingerprints,
        progress: Progress,
        made: Set[str] | None,
    ) -> dict[str, str]:
        """Enters a stage's recordings into the progress; returns usable ones' fingerprints."""
        recorded = known.of(self._dataset, stage.name)
        standing = self._standing(stage, made, known.only or ())
        if wanted.keys() <= standing and wanted.items() <= recorded.items():
            progress.due[stage.name], progress.current[stage.name] = {}, wanted
            return wanted
        is_current = self.fingerprints.is_current
        due: dict[str, str] = {}
        current: dict[str, str] = {}
        incomplete: dict[str, str] = {}
        for one, fingerprint in wanted.items():
            found = recorded.get(one) if one in standing else None
            if found is not None and (found == fingerprint or is_current(found, fingerprint)):
                current[one] = found
                continue
            due[one] = fingerprint
            if found is not None and self.fingerprints.is_incomplete(found, fingerprint):
                incomplete[one] = found
        progress.due[stage.name], progress.current[stage.name] = due, current
        progress.incomplete.update(incomplete)
        return current | incomplete if incomplete else current

    def _standing(self, stage: Stage, made: Set[str] | None, only: Iterable[str]) -> Set[str]:
        """Returns the recordings whose output files are there and not dirty.

        Args:
            stage: whose outputs.
            made: all recordings whose files are there; None to look for those of some.
            only: these.
        """
        present = made
        if present is None:
            present = {
                one
                for one in only
                # Of an annexed file the link is enough: its content is fetched by who reads it.
                if all(map(os.path.lexists, stage.outputs(self._dataset, one)))
            }
        return present - self._work.dirty(stage.name)


def find_busy(instance: dg.DagsterInstance, connection: Connection, keys: KeyOrder) -> set[str]:
    """Returns the recordings that other runs are working on or soon will.

    Args:
        instance: holds the runs.
        connection: the dataset.
        keys: every partition key.
    """
    unfinished = dg.RunsFilter(statuses=UNFINISHED)
    own = {asset_key(connection, stage) for stage in STAGES}
    busy: set[str] = set()
    is_served = is_queue_served(instance)
    for record in instance.get_run_records(unfinished):
        run = record.dagster_run
        is_queued = run.status == dg.DagsterRunStatus.QUEUED
        if not (is_served if is_queued else is_working(instance, record)):
            continue
        if run.asset_selection and not own & set(run.asset_selection):
            continue
        busy.update(keys.of_run(run.tags))
    return busy
