"""The sensor that watches for new audio.

Every tick it registers files that stopped growing, collects notes of work by hand, then requests
what `due.py` says is due and was not requested before. A single recording gets all its stages in
one run; several together get one run per stage, since a range run cannot go on to the next stage
past a bad recording. Later stages come first in Dagster's queue, so that what was begun is finished
before more is begun. When the corpus is requested is in `corpus_requests.py`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import NamedTuple

import dagster as dg

from badc_core.corpus.speech_tables import require_speech_search
from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.recordings.failures import read_failures
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import export_assets
from badc_core.stages.stage import STAGES, Stage, stages_after
from badc_dagster.corpus_requests import CorpusCursor
from badc_dagster.cycle_search import search_for_cycles_less_often
from badc_dagster.done_notes import collect
from badc_dagster.due import Progress, find_busy
from badc_dagster.jobs import PIPELINE_JOB, select_assets
from badc_dagster.kept_progress import kept_progress
from badc_dagster.liveness import close_dead_runs
from badc_dagster.partitions import (
    ASSET_TAG,
    KeyOrder,
    asset_key,
    range_tags,
    recordings_tag,
    run_size,
    settings_of,
)
from badc_dagster.run_jobs import close_lost_jobs
from badc_dagster.scans import report_scan
from badc_dagster.settling import MAX_FILES_PER_TICK, register_settled
from badc_dagster.taking_over import SensorTick, take_over

_INTERVAL_S = 30
_LOST_S = 600.0
"""A request that has had no run at work for so long has lost its run."""
_MOST_REQUESTS = 3
"""For one recording and stage, if its runs die without a failure of the recording's own."""
_MOST_NOTES = 500
"""Of work by hand, that a tick collects."""
_PRIORITY_TAG = "dagster/priority"


class Request(NamedTuple):
    """A request for a recording's asset.

    Attributes:
        fingerprint: the output should have.
        times: how often it was requested.
        at_s: when it was requested last, in seconds since 1970.
    """

    fingerprint: str
    times: int
    at_s: float


@dataclass
class Cursor:
    """What the sensor remembers from tick to tick.

    Attributes:
        sizes: unregistered path -> size and modification time when last seen.
        requested: stage -> recording -> the request, as long as its output is not there.
        corpus: what is remembered of the corpus.
    """

    sizes: dict[str, list[int]] = field(default_factory=dict)
    requested: dict[str, dict[str, Request]] = field(default_factory=dict)
    corpus: CorpusCursor = field(default_factory=CorpusCursor)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Returns the cursor in a sensor's stored text; an empty one for none."""
        if not text:
            return cls()
        stored = json.loads(text)
        requested = {
            stage: {recording_id: Request(*one) for recording_id, one in requests.items()}
            for stage, requests in stored["requested"].items()
        }
        return cls(stored["sizes"], requested, CorpusCursor(**stored.get("corpus", {})))

    def render(self) -> str:
        """Returns the text to store."""
        corpus = asdict(self.corpus)
        return json.dumps({"sizes": self.sizes, "requested": self.requested, "corpus": corpus})


def build_new_audio_sensor(connection: Connection) -> dg.SensorDefinition:
    """Returns the sensor of a dataset.

    It opens the dataset itself: a resource is made before the body runs, where a missing folder
    would be a traceback every tick.
    """
    settings = settings_of(connection)
    formats = list(settings.export.formats)

    @dg.sensor(
        name=connection.scoped("new_audio_sensor"),
        description="Registers new recordings as partitions, requests their runs, and then those "
        "of the corpus and its report.",
        minimum_interval_seconds=_INTERVAL_S,
        asset_selection=select_assets(
            connection, (*STAGES, *CORPUS_ASSETS, *export_assets(settings))
        ),
    )
    def new_audio_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            # The graph has assets of these formats, whatever the settings say meanwhile.
            dataset = Dataset.open(connection.root, {"export": {"formats": formats}})
            return evaluate(
                context.instance,
                connection,
                dataset,
                context.cursor,
                time.time,
                context.log.warning,
            )
        except BadcError as error:
            return dg.SkipReason(str(error))

    return new_audio_sensor


def evaluate(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    cursor_text: str | None,
    now_s: Callable[[], float],
    warn: Callable[[str], None] = lambda _: None,
) -> dg.SensorResult:
    """Returns what one tick requests.

    Args:
        instance: holds runs and events.
        connection: the dataset's place in the asset graph.
        dataset: the dataset.
        cursor_text: of the tick before.
        now_s: the clock, in seconds since 1970.
        warn: writes a warning into the tick's log.

    Raises:
        DatasetInvalid, DetectorMissing, PackageMissing, ConfigInvalid: nothing can be run here.
    """
    search_for_cycles_less_often()
    cursor = Cursor.parse(cursor_text)
    close_dead_runs(instance)
    close_lost_jobs(instance, warn)
    outcome, cursor.sizes = register_settled(dataset, cursor.sizes, now_s())
    place, registry = (instance, connection, dataset), outcome.registry
    kept = kept_progress(place, now_s())
    report_scan(*place, outcome, kept.register_keys(place, registry))
    # The rest in the next ticks; what files say of it counts already.
    tick = SensorTick(MAX_FILES_PER_TICK, now_s())
    taken = take_over(*place, registry.by_id, tick=tick)
    collected = collect(place, registry.by_id, _MOST_NOTES)
    for sentence in (*taken.warnings(), *collected.warnings(dataset.root)):
        warn(sentence)
    left_out = {*outcome.missing, *taken.unsettled}
    progress = kept.find(place, registry, left_out, taken.known)
    requests: list[dg.RunRequest] = []
    if progress.unfinished:
        require_speech_search(dataset)
        requests = _Requests(instance, connection, dataset, cursor, now_s()).make(progress)
    else:
        cursor.requested = {stage: {} for stage in STAGES}
    if progress.current["detections"]:
        wanted = partial(kept.corpus, place, registry, outcome.missing)
        corpus = cursor.corpus.request(place, wanted, now_s(), is_idle=not requests)
        requests += [corpus] if corpus is not None else []
    n_waiting = len(cursor.sizes)
    reason = f"nothing due; {n_waiting} file(s) still settling" if n_waiting else "nothing due"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(reason),
        cursor=cursor.render(),
    )


class _Requests:
    """Makes the run requests of one tick, and writes them down in the cursor."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        cursor: Cursor,
        now_s: float,
    ) -> None:
        self._connection = connection
        self._settings = dataset.settings
        self._cursor = cursor
        self._now_s = now_s
        self._keys = KeyOrder.read(instance, connection)
        self._busy = find_busy(instance, connection, self._keys)
        self._failed = {one: note.stage for one, note in read_failures(dataset).items()}

    def make(self, progress: Progress) -> list[dg.RunRequest]:
        """Returns requests for what is due and may be requested now."""
        return [
            request
            for priority, stage in enumerate(STAGES.values())
            for request in self._of_stage(stage, progress.due[stage.name], priority)
        ]

    def _of_stage(self, stage: Stage, due: Mapping[str, str], priority: int) -> list[dg.RunRequest]:
        before = {
            one: request
            for one, request in self._cursor.requested.get(stage.name, {}).items()
            if due.get(one) == request.fingerprint
        }
        wanted = [
            one
            for one in due
            if one not in self._busy
            and self._may_request(before.get(one), self._failed.get(one) == stage.name)
        ]
        now = {
            one: Request(due[one], before[one].times + 1 if one in before else 1, self._now_s)
            for one in wanted
        }
        self._cursor.requested[stage.name] = {**before, **now}
        ranges = self._keys.ranges(wanted, run_size(self._settings, stage))
        return [self._request(stage, some, priority) for some in ranges]

    def _may_request(self, before: Request | None, has_failed: bool) -> bool:
        """Whether to request a run: what failed is requested once, what got lost more often."""
        if before is None:
            return True
        is_lost = self._now_s - before.at_s >= _LOST_S * before.times
        return is_lost and not has_failed and before.times < _MOST_REQUESTS

    def _request(self, stage: Stage, recording_ids: list[str], priority: int) -> dg.RunRequest:
        is_single = len(recording_ids) == 1
        stages = stages_after(stage.name) if is_single else (stage.name,)
        tags = recordings_tag(recording_ids) if is_single else range_tags(recording_ids)
        return dg.RunRequest(
            job_name=self._connection.scoped(PIPELINE_JOB),
            partition_key=recording_ids[0] if is_single else None,
            tags={_PRIORITY_TAG: str(priority), ASSET_TAG: ", ".join(stages), **tags},
            asset_selection=[asset_key(self._connection, one) for one in stages],
        )
