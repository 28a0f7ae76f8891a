"""The sensor that watches for new audio.

Every tick it registers files that stopped growing, then requests what `due.py` says is due and
was not requested before. A recording alone gets its whole chain in one run; several together get
one run per asset, since a range run cannot chain past a bad recording.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import ScanOutcome, read_registry, register_recordings
from badc_core.recordings.scan import FoundAudio, find_audio
from badc_core.stages.fingerprints import STAGES
from badc_dagster.due import Progress, find_busy, find_due
from badc_dagster.liveness import close_dead_runs
from badc_dagster.partitions import (
    MAX_PARTITIONS_PER_RUN,
    contiguous_ranges,
    range_tags,
    register_keys,
)
from badc_dagster.per_recording import connection_key
from badc_dagster.scans import report_scan

MAX_FILES_PER_TICK = 500
_INTERVAL_S = 30
_LOST_S = 600.0
"""So long after a request without a run at work, its run must have been lost."""
_MOST_REQUESTS = 3
"""Of one recording and asset, where its runs die without a failure of the recording's own."""


class Request(NamedTuple):
    """A request for a recording's asset.

    Attributes:
        fingerprint: the output should have.
        times: it was requested_runs for.
        at_s: when last, in seconds since 1970.
    """

    fingerprint: str
    times: int
    at_s: float


@dataclass
class Cursor:
    """What the sensor remembers from tick to tick.

    Attributes:
        sizes: unregistered path -> size and modification time when last seen.
        requested: stage -> recording -> what was requested_runs for and is not there yet.
    """

    sizes: dict[str, list[int]] = field(default_factory=dict)
    requested: dict[str, dict[str, Request]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Returns the cursor in a sensor's stored text; an empty one for none."""
        if not text:
            return cls()
        stored = json.loads(text)
        requested = {
            stage: {recording_id: Request(*one) for recording_id, one in requested_runs.items()}
            for stage, requested_runs in stored["requested"].items()
        }
        return cls(stored["sizes"], requested)

    def render(self) -> str:
        """Returns the text to store."""
        return json.dumps({"sizes": self.sizes, "requested": self.requested})


def settled(
    found: Sequence[FoundAudio], seen: Mapping[str, Sequence[int]], min_age_s: float, now_s: float
) -> list[FoundAudio]:
    """Returns the files that have stopped growing: old enough, and unchanged since last seen.

    Args:
        found: files not registered yet.
        seen: path -> size and modification time at the tick before.
        min_age_s: younger ones are still being copied.
        now_s: the clock, in seconds since 1970.
    """
    return [
        one
        for one in found
        if one.size_bytes
        and one.modified_ns is not None
        and now_s - one.modified_ns / 1e9 >= min_age_s
        and list(seen.get(one.path, ())) == [one.size_bytes, one.modified_ns]
    ]


def build_new_audio_sensor(connection: Connection) -> dg.SensorDefinition:
    """Returns the sensor of a dataset.

    It opens the dataset itself: a resource is made before the body runs, where a missing folder
    would be a traceback every tick.
    """

    @dg.sensor(
        name=connection.scoped("new_audio_sensor"),
        description="Registers new recordings as partitions and requests their runs.",
        minimum_interval_seconds=_INTERVAL_S,
        asset_selection=_watched(connection),
    )
    def new_audio_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            dataset = Dataset.open(connection.root)
            return evaluate(context.instance, connection, dataset, context.cursor, time.time)
        except BadcError as error:
            return dg.SkipReason(str(error))

    return new_audio_sensor


def evaluate(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    cursor_text: str | None,
    now_s: Callable[[], float],
) -> dg.SensorResult:
    """Returns what one tick asks for.

    Raises:
        DatasetInvalid, DetectorMissing, ConfigInvalid: nothing can be run here.
    """
    cursor = Cursor.parse(cursor_text)
    close_dead_runs(instance)
    outcome = _register_settled(dataset, cursor, now_s())
    n_new_keys = register_keys(instance, connection, outcome.registry.ids)
    report_scan(instance, connection, dataset, outcome, n_new_keys)
    progress = find_due(instance, connection, dataset, outcome.registry)
    requests = _requests(instance, connection, dataset, progress, cursor, now_s())
    n_waiting = len(cursor.sizes)
    reason = f"nothing due; {n_waiting} file(s) still settling" if n_waiting else "nothing due"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(reason),
        cursor=cursor.render(),
    )


def _register_settled(dataset: Dataset, cursor: Cursor, now_s: float) -> ScanOutcome:
    """Registers new and changed files that have settled; the others keep what is known of them."""
    registered = read_registry(dataset.registry).by_path
    known: list[FoundAudio] = []
    new: list[FoundAudio] = []
    for one in find_audio(dataset):
        row = registered.get(one.path)
        is_as_before = row and (row.size_bytes, row.modified_ns) == (
            one.size_bytes,
            one.modified_ns,
        )
        (known if is_as_before else new).append(one)
    ready = settled(new, cursor.sizes, dataset.settings.recordings.min_age_s, now_s)
    taken = ready[:MAX_FILES_PER_TICK]
    paths = {one.path for one in taken}
    cursor.sizes = {
        one.path: [one.size_bytes or 0, one.modified_ns or 0]
        for one in new
        if one.path not in paths
    }
    return register_recordings(dataset, [*known, *taken])


def _requests(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    progress: Progress,
    cursor: Cursor,
    now_s: float,
) -> list[dg.RunRequest]:
    """Returns run requests for what is due and new, and notes them in the cursor."""
    keys = instance.get_dynamic_partitions(connection.partitions_name)
    busy = find_busy(instance, connection, keys)
    failed = {one: note.stage for one, note in read_failures(dataset).items()}
    requests: list[dg.RunRequest] = []
    for stage in STAGES:
        due = progress.due[stage]
        requested_runs = {
            one: before
            for one, before in cursor.requested.get(stage, {}).items()
            if due.get(one) == before.fingerprint
        }
        wanted = [
            one
            for one in due
            if one not in busy
            and _may_ask(requested_runs.get(one), failed.get(one) == stage, now_s)
        ]
        ranges = contiguous_ranges(keys, wanted, MAX_PARTITIONS_PER_RUN[stage])
        requests.extend(_request(connection, stage, some) for some in ranges)
        again = {
            one: Request(
                due[one], requested_runs[one].times + 1 if one in requested_runs else 1, now_s
            )
            for one in wanted
        }
        cursor.requested[stage] = {**requested_runs, **again}
    return requests


def _may_ask(before: Request | None, has_failed: bool, now_s: float) -> bool:
    """Tells whether to request a run: what failed is requested once, what got lost more often."""
    if before is None:
        return True
    is_lost = now_s - before.at_s >= _LOST_S * before.times
    return is_lost and not has_failed and before.times < _MOST_REQUESTS


def _request(connection: Connection, stage: str, recording_ids: list[str]) -> dg.RunRequest:
    job_name = connection.scoped("pipeline_job")
    if len(recording_ids) == 1:
        chain = STAGES[STAGES.index(stage) :]
        return dg.RunRequest(
            job_name=job_name,
            partition_key=recording_ids[0],
            asset_selection=[connection_key(connection, one) for one in chain],
        )
    return dg.RunRequest(
        job_name=job_name,
        tags=range_tags(recording_ids),
        asset_selection=[connection_key(connection, stage)],
    )


def _watched(connection: Connection) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(connection_key(connection, one) for one in STAGES))
