"""Results that this Dagster home did not make: recorded in its asset graph instead of made again.

A dataset that was cloned, or came from another home, or whose home was lost, says in its files what
each output was made from (`badc_core/stages/fingerprint_files.py`). Outputs that are as they were
written then get the events that a run here would have added, whatever settings they were made
with: what today's settings make due is found out afterwards, as ever. Those that differ are made
again.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, InputOutdated, RecordingBusy
from badc_core.recordings.failures import fetch_failures, read_failures
from badc_core.recordings.registry import Registry
from badc_core.stages.damage import mark_damaged
from badc_core.stages.fingerprint_files import StoredOutput, find_difference, read_stored
from badc_core.stages.fingerprints import lacks_chunks
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_core.units import counted
from badc_dagster.dagster_private import storing_at_once
from badc_dagster.fingerprint_tags import (
    CODE_VERSION_TAG,
    ELSEWHERE,
    FINGERPRINT_TAG,
    TAKEN_OVER,
)
from badc_dagster.host_inputs import HostInputs
from badc_dagster.known_fingerprints import (
    KnownFingerprints,
    read_known_fingerprints,
    remember_seen,
)
from badc_dagster.partitions import asset_key

_AT_ONCE = 100
"""Recordings whose events are stored together; other processes that store events wait meanwhile."""

_SETTLED_AFTER_S = 60.0

GraphPlace = tuple[dg.DagsterInstance, Connection, Dataset]
"""A dataset, and where it is in the asset graph."""

Show = Callable[[str], None]


@dataclass(frozen=True)
class SensorTick:
    """A sensor's.

    Attributes:
        at_most: how many recordings it takes over.
        now_s: the time, in seconds since 1970.
    """

    at_most: int
    now_s: float

    def find_unsettled(self, changed_ns: Mapping[str, int]) -> set[str]:
        """Returns the recordings that `git pull`, or a copy, may still be putting in place.

        Their files of fingerprints come before their outputs, in the order of names.

        Args:
            changed_ns: recording_id -> when its file was put in place, in ns since 1970.
        """
        # A clock that was ahead would make them wait until that time.
        latest_ns = int(self.now_s * 1e9)
        settled_ns = latest_ns - int(_SETTLED_AFTER_S * 1e9)
        return {one for one, put_ns in changed_ns.items() if settled_ns < put_ns <= latest_ns}


@dataclass
class TakenOver:
    """What taking over came to.

    Attributes:
        recordings: those of which something was taken over.
        damaged: stage and recording -> the file that is not as it was written.
        unreadable: recordings whose file of fingerprints cannot be read -> why.
        n_left: recordings left for the next time.
        unsettled: those of which files may be about to change; what is due of them shows later.
        known: what was read of all outputs; None if that is not all any more.
    """

    recordings: list[str] = field(default_factory=list)
    damaged: dict[tuple[str, str], str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    n_left: int = 0
    unsettled: set[str] = field(default_factory=set)
    known: KnownFingerprints | None = None

    def warnings(self) -> Iterator[str]:
        """Yields a sentence for each kind of trouble."""
        if self.damaged:
            yield (
                f"{counted(len(self.damaged), 'output')} will be made again, since files are not "
                f"as they were written, such as {min(self.damaged.values())}"
            )
        if self.unreadable:
            n = len(self.unreadable)
            yield (
                f"What the results of {counted(n, 'recording')} were made from cannot be read. "
                f"{min(self.unreadable.values())}"
            )


def take_over_made_elsewhere(
    place: GraphPlace, registry: Registry, show: Show, warn: Show
) -> TakenOver:
    """Has the asset graph know results of another Dagster home, and says what came of that."""
    outcome = take_over(*place, registry.by_id, show)
    for sentence in outcome.warnings():
        warn(sentence)
    if outcome.recordings:
        n = counted(len(outcome.recordings), "recording")
        show(f"Results of {n}, made in another Dagster home, taken over.")
    return outcome


def take_over(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    registered: Collection[str],
    show: Callable[[str], None] = lambda _: None,
    tick: SensorTick | None = None,
) -> TakenOver:
    """Has the asset graph record what files say and it does not know.

    Args:
        instance: holds the events.
        connection: the dataset's place in the asset graph.
        dataset: the dataset.
        registered: its recordings; files about others are left alone.
        show: shows a sentence now and then, where there are many.
        tick: of a sensor, which has little time, and comes at any; None to take over all.
    """
    fetch_failures(dataset)
    known = read_known_fingerprints(instance, connection, dataset)
    outcome = TakenOver()
    outcome.unreadable = {one: str(why) for one, why in known.unreadable.items()}
    unsettled = tick.find_unsettled(known.changed_ns) if tick else set()
    taking = _TakingOver(instance, connection, dataset, known, unsettled)
    not_recorded = known.not_recorded
    wanted = [one for one in registered if one in not_recorded]
    now = wanted if tick is None else wanted[: tick.at_most]
    for start in range(0, len(now), _AT_ONCE):
        if start and start % (10 * _AT_ONCE) == 0:
            show(f"Results of another Dagster home: {start} of {len(now)} recordings taken over")
        taking.take(now[start : start + _AT_ONCE], outcome)
    _mark_failures(dataset, outcome)
    outcome.n_left = len(wanted) - len(now)
    outcome.unsettled = unsettled & set(wanted)
    if known.changed_ns:
        left = {*wanted[len(now) :], *taking.in_work}
        remember_seen(instance, dataset, known, left)
    if not (outcome.recordings or outcome.damaged):
        outcome.known = known
    return outcome


class _TakingOver:
    """Takes recordings over, stage by stage, so that each event can name those it follows from.

    Attributes:
        in_work: recordings that another run, or perhaps git, is at work on.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        known: KnownFingerprints,
        unsettled: Collection[str],
    ) -> None:
        self.in_work: set[str] = set()
        self._instance = instance
        self._connection = connection
        self._dataset = dataset
        self._stored = known.stored
        self._unsettled = unsettled
        self._work = Work(dataset.work_folder)

    def take(self, ids: Sequence[str], total: TakenOver) -> None:
        """Takes some recordings over, as far as their outputs are as they were written."""
        taken: set[str] = set()
        for stage in STAGES:
            whole = {
                one: self._stored[stage][one]
                for one in ids
                if one in self._stored[stage] and self._is_whole(stage, one, total)
            }
            self._record(stage, whole)
            taken.update(whole)
        total.recordings += [one for one in ids if one in taken]

    def _is_whole(self, stage: str, recording_id: str, total: TakenOver) -> bool:
        """Whether an output is finished and as it was written; marks it if it is damaged."""
        try:
            self._work.require_finished(stage, recording_id)
        except RecordingBusy:
            self.in_work.add(recording_id)
            return False
        except InputOutdated:
            return False
        paths = STAGES[stage].outputs(self._dataset, recording_id)
        output = self._stored[stage][recording_id]
        differs = find_difference(self._dataset, paths, output, in_full=True)
        if differs is None:
            return True
        if recording_id in self._unsettled or self._was_replaced(stage, recording_id):
            self.in_work.add(recording_id)
        elif os.path.lexists(differs):
            if mark_damaged(self._dataset, stage, recording_id):
                total.damaged[stage, recording_id] = str(differs)
            else:
                self.in_work.add(recording_id)
        return False

    def _was_replaced(self, stage: str, recording_id: str) -> bool:
        """Whether another run has made an output anew since this read what it should be."""
        try:
            now = read_stored(self._dataset.fingerprints(recording_id), recording_id)
        except DatasetInvalid:
            return False
        return now.get(stage) != self._stored[stage][recording_id]

    def _record(self, stage: str, outputs: Mapping[str, StoredOutput]) -> None:
        if not outputs:
            return
        host = HostInputs(self._instance, self._connection, self._dataset, stage, list(outputs))
        key = asset_key(self._connection, stage)
        with storing_at_once(self._instance):
            for one, output in outputs.items():
                if lacks_chunks(output.fingerprint):
                    self._work.mark_lacking(stage, one, lacks=True)
                self._instance.report_runless_asset_event(
                    dg.AssetMaterialization(
                        key,
                        partition=one,
                        metadata=_metadata(self._dataset, stage, one, output),
                        tags={
                            FINGERPRINT_TAG: output.fingerprint,
                            CODE_VERSION_TAG: output.code_version,
                            **host.input_tags(one),
                        },
                    )
                )


def _metadata(
    dataset: Dataset, stage: str, recording_id: str, output: StoredOutput
) -> dict[str, str]:
    path = STAGES[stage].outputs(dataset, recording_id)[0]
    return {
        TAKEN_OVER: ELSEWHERE,
        "dagster/uri": path.as_uri(),
        "sha256": output.files[dataset.below(path)].sha256,
    }


def _mark_failures(dataset: Dataset, outcome: TakenOver) -> None:
    """Writes down which recordings failed elsewhere, as a run here would have."""
    if not outcome.recordings:
        return
    work = Work(dataset.work_folder)
    for one, note in read_failures(dataset).items():
        if note.stage in STAGES:
            work.mark_lacking(note.stage, one, lacks=True)
