"""Results of the code before `raw_detections` was an asset, taken over instead of made again.

A recording whose detections are what today's settings give gets its file of raw detections from
them, and its detections and report stay as they are: only events are added. Other results
of that code are counted by the reason why they cannot be taken over, so that nothing is analysed
again without a word. How the file is written is in `badc_core/inference/older_detections.py`.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OutputUnwritable, RecordingBusy, StorageFull
from badc_core.inference.older_detections import (
    adopt_detections,
    find_selection,
    older_config_hash,
)
from badc_core.inference.raw_result import RawResult
from badc_core.outcomes import for_each
from badc_core.stages.fingerprints import (
    Fingerprints,
    add_floor,
    as_source,
    digest_from,
    lacks_chunks,
)
from badc_core.stages.stage import STAGES
from badc_core.stages.work import RecordingWork, Work
from badc_dagster.due import Progress
from badc_dagster.fingerprint_tags import (
    CODE_VERSION_TAG,
    FINGERPRINT_TAG,
    TAKEN_OVER,
    recorded_fingerprints,
)
from badc_dagster.host_inputs import HostInputs
from badc_dagster.partitions import asset_key

_AT_ONCE = 250
"""Recordings taken over together; each keeps a file open meanwhile, and 1,024 is a usual limit."""

_DECIDING = ("recording", "chunk_manifest", "detections")
"""Stages whose outputs older results are read from. A dirty file of raw detections is none of
them: a run that was killed while taking over leaves one, and it is written anew."""


@dataclass
class OlderResults:
    """Recordings that have detections of the code before, and no raw detections.

    Attributes:
        adoptable: those that can be taken over.
        reasons: why others cannot -> how many.
    """

    adoptable: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def describe(self) -> list[str]:
        """Returns a sentence for each reason."""
        return [
            f"{n} recording{'s' * (n > 1)} with results of an earlier version of BADC will be "
            f"analysed again: {reason}."
            for reason, n in sorted(self.reasons.items())
        ]


@dataclass
class AdoptionOutcome:
    """What taking over came to.

    Attributes:
        adopted: recordings taken over.
        busy: those that another run is at work on.
        refused: the reasons of the others.
    """

    adopted: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    refused: OlderResults = field(default_factory=OlderResults)


class Adoption:
    """Takes over what can be taken over in one dataset."""

    def __init__(
        self, instance: dg.DagsterInstance, connection: Connection, dataset: Dataset
    ) -> None:
        self._instance = instance
        self._connection = connection
        self._dataset = dataset
        self._fingerprints = Fingerprints(dataset)
        self._config_hash = older_config_hash(dataset.settings.detector)
        self._selection = find_selection(dataset.settings.detector)
        self._work = Work(dataset.work_folder)
        self._dirty: set[str] = set()

    def find(self, progress: Progress) -> OlderResults:
        """Returns the recordings with older results; two queries, and none if nothing is due."""
        older = OlderResults()
        if not progress.unfinished:
            return older
        self._dirty = set().union(*(self._work.dirty(stage) for stage in _DECIDING))
        made = self._recorded("detections")
        made_since = self._recorded("raw_detections")
        before = {one: found for one, found in made.items() if one not in made_since}
        if not before:
            return older
        due = progress.unfinished
        for one, fingerprint in before.items():
            if one not in due:
                continue
            reason = self._refuse(one, fingerprint, progress.current["chunk_manifest"].get(one))
            if reason:
                older.reasons[reason] += 1
            else:
                older.adoptable.append(one)
        return older

    def adopt(
        self, recording_ids: Sequence[str], show: Callable[[str], None] = lambda _: None
    ) -> AdoptionOutcome:
        """Takes over recordings.

        Args:
            recording_ids: as `find` returned them.
            show: shows a sentence, every 500 recordings.

        Raises:
            StorageFull, OutputUnwritable: files cannot be written; analysing would fail likewise.
        """
        outcome = AdoptionOutcome()
        for start in range(0, len(recording_ids), _AT_ONCE):
            if start and start % (2 * _AT_ONCE) == 0:
                show(f"Results of an earlier version: {start} of {len(recording_ids)} taken over")
            self._adopt_some(list(recording_ids[start : start + _AT_ONCE]), outcome)
        return outcome

    def _refuse(self, recording_id: str, fingerprint: str, source: str | None) -> str:
        """Returns why a recording's older detections cannot be taken over; nothing if they can.

        Args:
            recording_id: the recording.
            fingerprint: of its detections.
            source: of its manifest, if that is current.
        """
        if source is None:
            return "the recording, or how it is cut, has changed"
        # The code before knew no choice of a channel.
        is_same = as_source(fingerprint) == digest_from(source, self._config_hash)
        if not is_same or self._fingerprints.choices("raw_detections", recording_id):
            if lacks_chunks(fingerprint):
                return "some of their chunks failed"
            return "the settings, or the version of the detector, have changed"
        if self._selection:
            return f"only what {self._selection} selects was kept"
        if recording_id in self._dirty or not self._has_files(recording_id):
            return "their files are missing or damaged"
        return ""

    def _adopt_some(self, ids: list[str], total: AdoptionOutcome) -> None:
        # What was made from the detections is only taken over if it was made from these.
        before = {stage: self._recorded(stage, ids) for stage in ("detections", "report_bundle")}
        report_hash = self._fingerprints.settings_hash("report_bundle")
        written = self._write(ids, total)
        adopted = list(written)
        self._report(
            "raw_detections",
            adopted,
            lambda one, wanted: add_floor(as_source(wanted), written[one][1].floor),
            after=lambda one: written[one][0].commit(),
        )
        self._report("detections", adopted, lambda _, wanted: wanted)
        with_report = [
            one
            for one in adopted
            if before["report_bundle"].get(one)
            == digest_from(before["detections"][one], report_hash)
        ]
        self._report("report_bundle", with_report, lambda _, wanted: wanted)
        total.adopted += adopted

    def _write(
        self, ids: list[str], total: AdoptionOutcome
    ) -> dict[str, tuple[RecordingWork, RawResult]]:
        """Writes files of raw detections; returns their recordings, still in work."""

        def write(recording_id: str) -> tuple[RecordingWork, RawResult]:
            begun = self._work.begin("raw_detections", recording_id)
            try:
                return begun, adopt_detections(self._dataset, recording_id)
            except BaseException:
                begun.leave()  # the error's traceback would keep it
                raise

        written: dict[str, tuple[RecordingWork, RawResult]] = {}
        for outcome in for_each(ids, write):
            error = outcome.error
            if outcome.value is not None:
                written[outcome.recording_id] = outcome.value
            elif isinstance(error, StorageFull | OutputUnwritable):
                raise error
            elif isinstance(error, RecordingBusy):
                total.busy.add(outcome.recording_id)
            elif error is not None:
                total.refused.reasons[f"taking them over failed ({error.what})"] += 1
        return written

    def _report(
        self,
        stage: str,
        ids: list[str],
        fingerprint: Callable[[str, str], str],
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Has the asset graph know of outputs that were taken over, with what it knew of them."""
        if not ids:
            return
        host = HostInputs(self._instance, self._connection, self._dataset, stage, ids)
        key = asset_key(self._connection, stage)
        for one in host.step_inputs("").recordings:
            tags = {
                FINGERPRINT_TAG: fingerprint(one.recording_id, one.fingerprint),
                CODE_VERSION_TAG: STAGES[stage].code_version,
                **host.input_tags(one.recording_id),
            }
            self._instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    key,
                    partition=one.recording_id,
                    metadata={
                        **self._known_metadata(key, one.recording_id),
                        TAKEN_OVER: "from results of an earlier version of BADC",
                    },
                    tags=tags,
                )
            )
            after(one.recording_id)

    def _known_metadata(self, key: dg.AssetKey, recording_id: str) -> dict[str, dg.MetadataValue]:
        wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[recording_id])
        records = self._instance.fetch_materializations(wanted, limit=1).records
        latest = records[0].asset_materialization if records else None
        return dict(latest.metadata) if latest else {}

    def _recorded(self, stage: str, ids: list[str] | None = None) -> dict[str, str]:
        key = asset_key(self._connection, stage)
        return dict(recorded_fingerprints(self._instance, key, ids))

    def _has_files(self, recording_id: str) -> bool:
        paths = STAGES["detections"].outputs(self._dataset, recording_id)
        return all(map(os.path.lexists, paths))


def convert_older_marks(dataset: Dataset) -> None:
    """Turns the marks of the code before, on outputs that were being replaced, into dirty marks.

    Before it is found out what is due, which they decide.
    """
    work = Work(dataset.work_folder)
    for mark in dataset.older_marks.glob("*/*"):
        if mark.parent.name in STAGES:
            work.mark_dirty(mark.parent.name, mark.name)
        mark.unlink(missing_ok=True)
