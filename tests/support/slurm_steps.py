"""Steps on a Slurm cluster, and what happens to them there meanwhile."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

from badc_core.datasets.dataset import Dataset
from badc_core.inference.detect import detect_recordings
from badc_core.slurm.step_launcher import SlurmStepLauncher
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import Summary
from support.detecting import step_inputs
from support.slurm_cluster import Cluster
from support.telemetry import read_events
from support.waiting import wait_until

TWO_TASKS = 12 / 60 / 20
"""Minutes that two recordings of six seconds take at the speed that is assumed at first."""


class Step:
    """A step on the cluster, what it said, and what it knew of each recording when that came."""

    def __init__(self, dataset: Dataset, ids: list[str], log: str = "a") -> None:
        self.said: list[str] = []
        self.inputs = step_inputs(dataset, ids)
        self.launcher = SlurmStepLauncher(self.inputs, self.said.append)
        self.telemetry = dataset.telemetry(log)
        self.errors: dict[str, str] = {}
        self.good: set[str] = set()
        self.places: dict[str, dict[str, Any]] = {}
        self.is_over = False

    def run(self, act: Callable[[], None] = lambda: None) -> "Step":
        """Runs it to its end, committing what is good; something else happens meanwhile."""
        thread = meanwhile(act)
        try:
            return self._run()
        finally:
            self.is_over = True
            thread.join()

    def _run(self) -> "Step":
        with TelemetryLog(self.telemetry) as telemetry:
            outcomes = self.launcher.detect(telemetry, lambda _: None, Summary(self.telemetry))
            good = []
            for outcome in outcomes:
                if outcome.error is not None:
                    self.errors[outcome.recording_id] = str(outcome.error)
                else:
                    self.good.add(outcome.recording_id)
                    self.places[outcome.recording_id] = dict(
                        self.launcher.metadata(outcome.recording_id)
                    )
                    good.append(outcome)
            for outcome in good:  # as a step does that commits many at once
                outcome.commit()
        return self

    def started(self) -> Counter[str]:
        """Returns how often each chunk was begun."""
        events = read_events(self.telemetry)
        return Counter(one["chunk_id"] for one in events if one["status"] == "start")


def ids(n: int) -> list[str]:
    """Returns the recordings of a dataset of the fixture `archive`."""
    return [f"r{number}" for number in range(n)]


def results(dataset: Dataset, n: int) -> list[bytes]:
    """Returns the bytes of their raw detections."""
    return [dataset.raw_detections(one).read_bytes() for one in ids(n)]


def locally(dataset: Dataset, n: int) -> list[bytes]:
    """Returns the bytes that a run on this machine gives."""
    inputs = replace(step_inputs(dataset, ids(n)), work_folder=dataset.root / "local")
    with TelemetryLog(dataset.root / "local.jsonl") as telemetry:
        for outcome in detect_recordings(inputs, telemetry, resumes=False):
            outcome.require()
            outcome.commit()
    return results(dataset, n)


def as_here(dataset: Dataset, n: int, here: Dataset | None = None) -> bool:
    """Returns whether raw detections are those that a run on this machine gives.

    Args:
        dataset: the dataset.
        n: how many recordings it has.
        here: the dataset under the settings of that run; None for the same.
    """
    return results(dataset, n) == locally(here or dataset, n)


def meanwhile(act: Callable[[], None]) -> Thread:
    """Starts something that happens while a step runs."""
    thread = Thread(target=act)
    thread.start()
    return thread


def jobs(cluster: Cluster) -> set[str]:
    """Returns all arrays that the controller knows."""
    return set(cluster.call("squeue", "-h", "-t", "all", "-o", "%F").split())


def wait_for_state(cluster: Cluster, state: str, limit_s: float = 120.0) -> str:
    """Returns the id of the first task that is in a state."""
    found: list[str] = []

    def look() -> bool:
        found[:] = cluster.call("squeue", "-h", "-r", "-t", state, "-o", "%i").split()
        return bool(found)

    wait_until(look, limit_s)
    return found[0]


def begin_at_once(cluster: Cluster) -> None:
    """Lets a job that was queued again begin, for which Slurm waits two minutes."""
    job = wait_for_state(cluster, "PENDING").partition("_")[0]
    time.sleep(4)  # for its node to be done with it: else the launch fails, and the job is held
    cluster.call("scontrol", "update", f"jobid={job}", "starttime=now")
