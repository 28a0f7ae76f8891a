"""When the sensor has the corpus, its report and exports made again: after work has ended.

Not after each recording: a corpus is requested once nothing has changed for some minutes, or every
quarter of an hour while work goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import EVERY_EXPORT, export_assets
from badc_core.stages.stage import STAGES
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT
from badc_dagster.corpus_fingerprint import find_due_assets
from badc_dagster.due import UNFINISHED
from badc_dagster.due_exports import find_due_exports
from badc_dagster.jobs import assets_of_run
from badc_dagster.partitions import asset_key
from badc_dagster.taking_over import GraphPlace

_QUIET_S = 120.0
_AT_LEAST_EVERY_S = 900.0
_LOST_S = 600.0
_MOST_REQUESTS = 3
"""For the same content, if its runs fail or get lost."""


@dataclass
class CorpusCursor:
    """What the sensor remembers of the corpus from tick to tick; times in seconds since 1970.

    Attributes:
        since_s: since when the corpus may lack something; 0 where it does not.
        wanted: what it should be made from.
        changed_s: when that changed last.
        times: how often it was requested.
        at_s: when it was requested last.
    """

    since_s: float = 0.0
    wanted: str = ""
    changed_s: float = 0.0
    times: int = 0
    at_s: float = 0.0

    def request(
        self,
        place: GraphPlace,
        find_wanted: Callable[[], Mapping[str, str]],
        now_s: float,
        *,
        is_idle: bool,
    ) -> dg.RunRequest | None:
        """Returns the request to make now, if any.

        Args:
            place: the dataset, and where it is in the asset graph.
            find_wanted: returns what the corpus assets would be made from now.
            now_s: the time.
            is_idle: whether no recording is requested now.
        """
        runs = _runs_at_work(place[0], place[1])
        is_idle = is_idle and not runs
        self.since_s = self.since_s or now_s
        is_late = now_s - self.since_s >= _AT_LEAST_EVERY_S
        if not (is_idle or is_late):
            return None
        fingerprints = find_wanted()
        due = find_due_assets(*place, fingerprints)
        if CORPUS_DETECTIONS in due:
            assets = [*CORPUS_ASSETS, *export_assets(place[2].settings)]
        else:
            assets = [*due, *find_due_exports(place)]
        wanted = f"{fingerprints[CORPUS_REPORT]} {' '.join(assets)}"
        if not assets:
            self.since_s, self.times = 0.0 if is_idle else now_s, 0
            return None
        if wanted != self.wanted:
            self.wanted, self.changed_s, self.times = wanted, now_s, 0
        is_quiet = is_late or now_s - self.changed_s >= _QUIET_S
        keys = [asset_key(place[1], one) for one in assets]
        is_made_now = any(set(keys) & _assets(place[1], run) for run in runs)
        if not is_quiet or is_made_now or not self._may_request(now_s):
            return None
        self.times, self.at_s = self.times + 1, now_s
        return dg.RunRequest(asset_selection=keys)

    def _may_request(self, now_s: float) -> bool:
        if not self.times:
            return True
        return now_s - self.at_s >= _LOST_S * self.times and self.times < _MOST_REQUESTS


def _runs_at_work(instance: dg.DagsterInstance, connection: Connection) -> list[dg.DagsterRun]:
    """Returns the dataset's runs that have not ended."""
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run for run in unfinished if _assets(connection, run)]


def _assets(connection: Connection, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """Returns which assets a run makes that the corpus is made from, or that are made from it."""
    own = {asset_key(connection, one) for one in (*STAGES, *CORPUS_ASSETS, *EVERY_EXPORT)}
    return own & assets_of_run(connection, run)
