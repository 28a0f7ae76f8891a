"""What every output was made from: as its file says, else as the asset graph recorded it.

A file of fingerprints is read where the recording has an output that the asset graph lacks, or
where it was put in place since this Dagster home last looked: results that another home made, or
that came with a `git pull`. So looking at a large archive costs a listing, however much of it has
yet to be made. Nothing is written here except that time; having the asset graph record what files
say is in `taking_over.py`.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from badc_core.atomic import write_text
from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.json_texts import parse_object
from badc_core.locks import locked
from badc_core.stages.fingerprint_files import (
    StoredOutput,
    find_difference,
    list_stored,
    read_stored,
)
from badc_core.stages.stage import STAGES, list_all_made
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.partitions import asset_key

_SEEN_FILE = ".fingerprints_seen.json"
_SEEN_LOCK = ".fingerprints_seen.lock"

_compared: dict[tuple[Path, str], tuple[frozenset[str], Mapping[str, str], frozenset[str]]] = {}
"""Dataset and stage -> outputs that were there, those recorded, and the former without these."""


@dataclass(frozen=True)
class KnownFingerprints:
    """What outputs were made from.

    Attributes:
        recorded: stage -> recording_id -> fingerprint, as the asset graph has it.
        stored: stage -> recording_id -> output, where its file says otherwise.
        only: the recordings that were looked at; None for all.
        changed_ns: recording_id -> when its file was put in place, in ns since 1970; nothing if
            only some recordings were looked at.
        unreadable: recordings whose file cannot be read -> why.
        made: stage -> recordings whose output files are there; nothing if only some recordings
            were looked at.
    """

    recorded: Mapping[str, Mapping[str, str]]
    stored: Mapping[str, Mapping[str, StoredOutput]]
    only: Sequence[str] | None = None
    changed_ns: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, DatasetInvalid] = field(default_factory=dict)
    made: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, dataset: Dataset, stage: str) -> Mapping[str, str]:
        """Returns recording_id -> fingerprint of a stage's outputs.

        Where files say otherwise than the asset graph, they are believed if their outputs are as
        long as they say; else it is not known what these outputs are.
        """
        stored = self.stored[stage]
        if not stored:
            return self.recorded[stage]
        known = {one: it for one, it in self.recorded[stage].items() if one not in stored}
        outputs = STAGES[stage].outputs
        return known | {
            one: output.fingerprint
            for one, output in stored.items()
            if not find_difference(dataset, outputs(dataset, one), output, in_full=False)
        }

    @property
    def not_recorded(self) -> set[str]:
        """Recordings of which files say otherwise than the asset graph."""
        return {one for outputs in self.stored.values() for one in outputs}


def read_known_fingerprints(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    only: Sequence[str] | None = None,
    stages: Iterable[str] | None = None,
) -> KnownFingerprints:
    """Returns what is known of a dataset's outputs.

    Args:
        instance: holds the events.
        connection: the dataset's place in the asset graph.
        dataset: the dataset.
        only: these recordings, at a cost that does not depend on the others; None for all.
        stages: only these; None for all.
    """
    # Before the events: what another process finishes meanwhile is then no contradiction.
    changed_ns = list_stored(dataset) if only is None else {}
    recorded = {
        stage: recorded_fingerprints(instance, asset_key(connection, stage), only)
        for stage in (STAGES if stages is None else stages)
    }
    made: Mapping[str, frozenset[str]] = {}
    if only is None:
        made = list_all_made(dataset, recorded)
        seen_ns = _read_seen(instance, dataset)
        if seen_ns > max(changed_ns.values(), default=0):
            seen_ns = 0  # the dataset was put back to an earlier state
        unknown = _find_unknown(dataset, made, recorded)
        looked_at = [
            one for one, put_ns in changed_ns.items() if put_ns >= seen_ns or one in unknown
        ]
    else:
        looked_at = list(only)
    stored: dict[str, dict[str, StoredOutput]] = {stage: {} for stage in recorded}
    unreadable: dict[str, DatasetInvalid] = {}
    for one in looked_at:
        try:
            outputs = read_stored(dataset.fingerprints(one), one)
        except DatasetInvalid as error:
            unreadable[one] = error
            continue
        for stage, known in recorded.items():
            output = outputs.get(stage)
            if output is not None and known.get(one) != output.fingerprint:
                stored[stage][one] = output
    return KnownFingerprints(recorded, stored, only, changed_ns, unreadable, made)


def has_changed(
    instance: dg.DagsterInstance, connection: Connection, known: KnownFingerprints
) -> bool:
    """Returns whether outputs were recorded since what is known of all outputs was read."""
    return any(
        recorded_fingerprints(instance, asset_key(connection, stage)) is not before
        for stage, before in known.recorded.items()
    )


def _find_unknown(
    dataset: Dataset,
    made: Mapping[str, frozenset[str]],
    recorded: Mapping[str, Mapping[str, str]],
) -> set[str]:
    """Returns the recordings with an output of which the asset graph knows nothing.

    `made[stage]` and `recorded[stage]` are never changed in place: the same objects give the same
    recordings.
    """
    unknown: set[str] = set()
    for stage, known in recorded.items():
        before = _compared.get((dataset.root, stage))
        if before is None or before[0] is not made[stage] or before[1] is not known:
            before = made[stage], known, made[stage].difference(known)
            _compared[dataset.root, stage] = before
        unknown |= before[2]
    return unknown


def remember_seen(
    instance: dg.DagsterInstance, dataset: Dataset, known: KnownFingerprints, left: Iterable[str]
) -> None:
    """Writes down which files need not be read again.

    Processes take turns, since one file says it of all datasets.

    Args:
        instance: of the Dagster home.
        dataset: whose files.
        known: what was read of them.
        left: recordings that must be looked at again.
    """
    unsettled = [known.changed_ns[one] for one in left if one in known.changed_ns]
    latest = max(known.changed_ns.values(), default=0)
    # The clock of a file system may be coarse: one put in place right after may have this time too.
    seen = {str(dataset.root): min([*unsettled, latest])}
    path = _seen_path(instance)
    with locked(path.with_name(_SEEN_LOCK)):
        before = _read_all_seen(instance)
        if before | seen != before:
            write_text(path, json.dumps(before | seen, indent=1) + "\n")


def _read_seen(instance: dg.DagsterInstance, dataset: Dataset) -> int:
    """Returns since when files must be read, in ns since 1970."""
    seen_ns = _read_all_seen(instance).get(str(dataset.root), 0)
    # A clock that was ahead would hide what changes until that time.
    return seen_ns if seen_ns <= time.time_ns() else 0


def _read_all_seen(instance: dg.DagsterInstance) -> dict[str, int]:
    with suppress(FileNotFoundError, ValueError):
        content = parse_object(_seen_path(instance).read_bytes())
        return {root: one for root, one in content.items() if isinstance(one, int)}
    return {}


def _seen_path(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / _SEEN_FILE
