"""Which recordings need which asset: the question behind `badc run` and the sensor.

An output is current if it is there, bears no mark (`provenance/in_work.py`), and its fingerprint is
what today's file, settings and code give. One that lacks chunks that failed is due, and used
meanwhile. Fingerprints come from `badc_core.stages.fingerprints`, what was made from the asset
graph's tags.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.provenance.in_work import read_marks
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import Registry
from badc_core.stages.fingerprints import STAGES, Fingerprints, is_incomplete
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.liveness import is_queue_served, is_working
from badc_dagster.per_recording import connection_key

_CORPUS_VERSION = "2"
"""Raised by hand when the corpus assets give different results for the same input."""

_UNFINISHED = [
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
        due: stage -> recordings whose input is current and whose output is not, in registry
            order, with the fingerprint the output should have.
        current: stage -> recordings whose output is current, with its fingerprint.
        incomplete: recordings whose detections lack chunks that failed; due, but used.
    """

    due: dict[str, dict[str, str]]
    current: dict[str, dict[str, str]]
    incomplete: set[str] = field(default_factory=set)

    @property
    def finished(self) -> dict[str, str]:
        """Recordings with nothing left to do, with the fingerprint of their last output."""
        last = self.current[STAGES[-1]]
        return {one: made for one, made in last.items() if one not in self.incomplete}


def find_due(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset, registry: Registry
) -> Progress:
    """Returns how far every registered recording is.

    Raises:
        DetectorMissing, ConfigInvalid: the settings name a detector that cannot run.
    """
    fingerprints = Fingerprints(dataset)
    progress = Progress({}, {})
    sources = {
        one.recording_id: fingerprints.of_file(one.path, one.fingerprint or "") for one in registry
    }
    for stage in STAGES:
        expected = {one: fingerprints.of(stage, source) for one, source in sources.items()}
        made = recorded_fingerprints(instance, connection_key(connection, stage))
        standing = _present(dataset, stage) - read_marks(dataset, stage)
        current = {
            one: wanted
            for one, wanted in expected.items()
            if made.get(one) == wanted and one in standing
        }
        progress.current[stage] = current
        progress.due[stage] = {
            one: wanted for one, wanted in expected.items() if one not in current
        }
        usable = {
            one: made[one]
            for one, wanted in progress.due[stage].items()
            if one in standing and is_incomplete(made.get(one), wanted)
        }
        progress.incomplete.update(usable)
        sources = current | usable
    return progress


def find_busy(
    instance: dg.DagsterInstance, connection: Connection, keys: Sequence[str]
) -> set[str]:
    """Returns the recordings that other runs are working on or soon will.

    Args:
        instance: holds the runs.
        connection: the dataset.
        keys: every partition key, in the instance's order.
    """
    unfinished = dg.RunsFilter(statuses=_UNFINISHED)
    position = {key: index for index, key in enumerate(keys)}
    ours = {connection_key(connection, stage) for stage in STAGES}
    busy: set[str] = set()
    is_served = is_queue_served(instance)
    for record in instance.get_run_records(unfinished):
        run = record.dagster_run
        is_queued = run.status == dg.DagsterRunStatus.QUEUED
        if not (is_served if is_queued else is_working(record)):
            continue
        if run.asset_selection and not ours & set(run.asset_selection):
            continue
        alone = run.tags.get("dagster/partition")
        first = run.tags.get("dagster/asset_partition_range_start", alone)
        last = run.tags.get("dagster/asset_partition_range_end", alone)
        if first in position and last in position:
            busy.update(keys[position[first] : position[last] + 1])
    return busy


def corpus_fingerprint(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset, registry: Registry
) -> str:
    """Returns what the corpus would be made from now: detections, descriptions, failures."""
    made = recorded_fingerprints(instance, connection_key(connection, "detections"))
    content = {
        "code": _CORPUS_VERSION,
        "report": Fingerprints(dataset).settings_hash("report_bundle"),
        "made": {one: made.get(one, "") for one in registry.ids},
        "marked": sorted(read_marks(dataset, "detections")),
        "failed": {one: note.error for one, note in read_failures(dataset).items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _present(dataset: Dataset, stage: str) -> set[str]:
    """Returns the recordings whose output files are there."""
    return set.intersection(*(_with_file(path("x")) for path in _outputs(dataset)[stage]))


def _with_file(example: Path) -> set[str]:
    """Returns the recordings that have a file like that of recording `x`, with one listing."""
    suffix = example.name.removeprefix("x")
    if not example.parent.is_dir():
        return set()
    return {
        entry.name.removesuffix(suffix)
        for entry in example.parent.iterdir()
        if entry.name.endswith(suffix)
    }


def _outputs(dataset: Dataset) -> dict[str, tuple[Callable[[str], Path], ...]]:
    """Returns the files that stand for each stage's output."""
    return {
        "recording": (dataset.recording,),
        "chunk_manifest": (dataset.manifest,),
        "detections": (dataset.detections, dataset.effort),
        "report_bundle": (lambda one: dataset.bundle(one).html,),
    }
