"""The one pattern of per-recording assets: how they are declared, and how outcomes become events.

Good recordings are materialised as they finish; bad ones are logged, one line each, and named in
one failure at the end. So a failed recording costs nobody else's result.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import (
    BadcError,
    DatasetInvalid,
    DetectionsInvalid,
    ManifestMismatch,
    RecordingBusy,
)
from badc_core.outcomes import Outcome
from badc_core.provenance.in_work import mark, unmark
from badc_core.recordings.failures import clear_failure, note_failure
from badc_core.stages.fingerprints import CODE_VERSIONS, STAGES, Fingerprints
from badc_core.telemetry.progress import watcher
from badc_dagster.failures import as_failures, failure_of
from badc_dagster.fingerprint_tags import (
    FINGERPRINT_TAG,
    REGISTRY_VERSION,
    recorded_event_ids,
    recorded_fingerprints,
)
from badc_dagster.liveness import hold
from badc_dagster.partitions import backfill_policy, recording_partitions

T = TypeVar("T")
Results = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]

_MADE_BY: dict[type[BadcError], str] = {
    DatasetInvalid: "recording",
    ManifestMismatch: "chunk_manifest",
    DetectionsInvalid: "detections",
}
"""Error about a file -> the stage that makes that file, and must make it again."""


@dataclass(frozen=True)
class RecordingOutput:
    """What Dagster is told of one recording's output.

    Attributes:
        metadata: kept small, since each event is stored twice.
        source: fingerprint of what it was made from, where that is no asset.
        failed_chunks: chunk_ids it lacks, so that it is due again although it can be used.
    """

    metadata: dict[str, Any]
    source: str | None = None
    failed_chunks: tuple[str, ...] = ()


def per_recording_asset(
    connection: Connection,
    stage: str,
    description: str | None,
    kinds: Set[str],
    **declared: Any,
) -> Callable[[Callable[..., Results]], dg.AssetsDefinition]:
    """Returns the decorator for an asset of which every recording has a partition.

    Args:
        connection: the dataset.
        stage: one of `STAGES`; it depends on the one before.
        description: what the UI says of it.
        kinds: what it is made of, for the UI.
        declared: what else `dg.asset` should know.
    """
    declare = dg.asset(
        name=stage,
        key_prefix=connection.key_prefix,
        group_name=connection.group_name,
        partitions_def=recording_partitions(connection),
        backfill_policy=backfill_policy(stage),
        deps=[connection_key(connection, input_of(stage))],
        description=description,
        kinds=set(kinds),
        code_version=CODE_VERSIONS[stage],
        required_resource_keys={connection.scoped("dataset")},
        output_required=False,
        **declared,
    )

    def decorate(body: Callable[..., Results]) -> dg.AssetsDefinition:
        @wraps(body)
        def guarded(context: dg.AssetExecutionContext) -> Results:
            with as_failures():
                yield from body(context)

        return cast("dg.AssetsDefinition", declare(guarded))

    return decorate


def connection_key(connection: Connection, name: str) -> dg.AssetKey:
    """Returns the key of one of a dataset's assets."""
    return dg.AssetKey([*connection.key_prefix, name])


def input_of(stage: str) -> str:
    """Returns the name of the asset that a stage is made from."""
    return "recordings" if stage == STAGES[0] else STAGES[STAGES.index(stage) - 1]


class Step:
    """One execution of a per-recording asset.

    Attributes:
        dataset: the dataset it works on.
        fingerprints: under its settings.
        recording_ids: the recordings it was asked for.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, connection: Connection, stage: str
    ) -> None:
        hold(context.run.run_id)
        self.dataset: Dataset = getattr(context.resources, connection.scoped("dataset"))
        self.recording_ids: list[str] = list(context.partition_keys)
        self.run_id = context.run.run_id
        self._context = context
        self._stage = stage
        self.fingerprints = Fingerprints(self.dataset)
        self._sources: Mapping[str, str] = {}
        self._source_events: Mapping[str, int] = {}
        self._input = connection_key(connection, input_of(stage))
        if stage != STAGES[0]:
            self._sources = recorded_fingerprints(context.instance, self._input, self.recording_ids)
            self._source_events = recorded_event_ids(
                context.instance, self._input, self.recording_ids
            )

    def take(self) -> Iterator[str]:
        """Yields the recordings one by one, each marked as in work until it is materialised."""
        for recording_id in self.recording_ids:
            self.begin(recording_id)
            yield recording_id

    def begin(self, recording_id: str) -> None:
        """Marks a recording as in work until it is materialised."""
        mark(self.dataset, self._stage, recording_id)

    def materialise(
        self,
        outcomes: Generator[Outcome[T], None, None],
        describe: Callable[[str, T], RecordingOutput],
        complain: Callable[[], str] = str,
        checks: Callable[[], Iterable[dg.AssetCheckResult]] = tuple,
    ) -> Results:
        """Materialises every good recording, then fails if there was a bad one.

        A step of one recording yields its result, so that the next asset of the run follows. A
        step of several logs each as it comes and yields nothing: Dagster would otherwise record a
        result for every key of the range.

        Args:
            outcomes: in any order.
            describe: what to tell of a good one.
            complain: asked at the end whether anything else is wrong; empty if not.
            checks: asked for the results of the asset's checks, once all is told; what they find
                is recorded whether the step then fails or not.

        Raises:
            dg.Failure: naming every recording that failed, and the complaint.
        """
        bad: dict[str, BadcError] = {}
        # Interrupted between two outcomes, workers must end now, not when Python does.
        with closing(outcomes):
            for outcome in outcomes:
                watcher().ended()
                if outcome.value is None:
                    bad[outcome.recording_id] = self._note(outcome)
                    continue
                clear_failure(self.dataset, outcome.recording_id)
                made = describe(outcome.recording_id, outcome.value)
                if len(self.recording_ids) == 1:
                    yield self._result(outcome.recording_id, made)
                else:
                    self._context.log_event(self._materialization(outcome.recording_id, made))
                unmark(self.dataset, self._stage, outcome.recording_id)
        yield from checks()
        complaint = complain()
        if bad or complaint:
            raise failure_of(bad, len(self.recording_ids), complaint)

    def _note(self, outcome: Outcome[T]) -> BadcError:
        error = outcome.error or BadcError("no result", outcome.recording_id)
        # What another run is at work on has not failed: that run will say what becomes of it.
        if not isinstance(error, RecordingBusy):
            note_failure(self.dataset, outcome.recording_id, self._stage, error)
        damaged = _MADE_BY.get(type(error))
        if damaged is not None:
            mark(self.dataset, damaged, outcome.recording_id)
        self._context.log.error(f"{outcome.recording_id} failed: {error}")
        self._context.log_event(
            # So that the recording's own page says why, not only the run's log.
            dg.AssetObservation(
                self._context.asset_key,
                partition=outcome.recording_id,
                metadata={"failed_because": str(error)},
            )
        )
        return error

    def _fingerprint(self, recording_id: str, made: RecordingOutput) -> str:
        source = made.source or self._sources.get(recording_id, "")
        fingerprint = self.fingerprints.of(self._stage, source)
        if made.failed_chunks:
            return self.fingerprints.incomplete(fingerprint, made.failed_chunks)
        return fingerprint

    def _result(self, recording_id: str, made: RecordingOutput) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(
            metadata=made.metadata,
            data_version=dg.DataVersion(self._fingerprint(recording_id, made)),
        )

    def _materialization(self, recording_id: str, made: RecordingOutput) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            self._context.asset_key,
            partition=recording_id,
            metadata=made.metadata,
            tags={
                FINGERPRINT_TAG: self._fingerprint(recording_id, made),
                "dagster/code_version": CODE_VERSIONS[self._stage],
                **self._input_tags(recording_id),
            },
        )

    def _input_tags(self, recording_id: str) -> dict[str, str]:
        """Returns what was read; without both, the UI calls partitions of a range run unsynced."""
        is_first = self._stage == STAGES[0]
        version = REGISTRY_VERSION if is_first else self._sources.get(recording_id, "")
        name = self._input.to_user_string()
        return {
            f"dagster/input_data_version/{name}": version,
            f"dagster/input_event_pointer/{name}": str(
                self._source_events.get(recording_id, "NULL")
            ),
        }
