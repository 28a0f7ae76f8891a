"""Building the corpus: all results of a dataset, of which only changed parts are written.

What a part is, is in `parts.py`; which have changed in `changed_parts.py`. There is one writer.
Readers go on reading what they opened (`reading.py`).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from badc_core.annexed_files import content_missing
from badc_core.corpus.changed_parts import (
    PART_CODE_VERSION,
    PartPlan,
    digests,
    discard_damaged,
    find_unchanged,
    read_previous,
)
from badc_core.corpus.known_speech import read_changed_speech
from badc_core.corpus.part_jobs import WrittenRows
from badc_core.corpus.part_writing import PartWriter, part_writers
from badc_core.corpus.parts import SCHEMA_VERSION, CorpusPart, PartList, retire_files
from badc_core.corpus.root import CorpusTotals, write_root
from badc_core.corpus.sources import SEEN, look_at_files, made_from, write_seen
from badc_core.corpus.speech_tables import speech_tables
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.devices.places import usable_cores
from badc_core.errors import DatasetInvalid, DetectionsInvalid
from badc_core.outcomes import for_each
from badc_core.provenance.annex import fetch
from badc_core.recordings.failures import fetch_failures, read_failures
from badc_core.recordings.missing import find_absent, find_superseded
from badc_core.recordings.recording import Recording, read_recording
from badc_core.recordings.registry import read_registry
from badc_core.stages.damage import mark_damaged

MISSING = pa.schema(
    [("recording_id", pa.string()), ("stage", pa.string()), ("reason", pa.string())]
)
"""The table of recordings that should be in a corpus and have no result."""

_MOST_THREADS = 4
"""Each writes parts and needs a gigabyte or more for a large one."""

_MOST_TOGETHER = 1000
"""Recordings of small parts that are counted together,"""

_MOST_ROWS = 3_000_000
"""unless they have more rows than these, all of which are in memory."""

_Reasons = dict[str, tuple[str, str]]
"""recording_id -> the stage whose result it lacks, and why."""


def aggregate_corpus(dataset: Dataset) -> CorpusTotals:
    """Builds the corpus of what the registry and the notes of failures say should be in it.

    Raises:
        DatasetInvalid: one of those is malformed.
        DetectionsInvalid, StorageFull: as for `build_corpus`.
    """
    registry = read_registry(dataset.registry)
    superseded = find_superseded(dataset, registry)
    counted = [one for one in registry.ids if one not in superseded]
    fetch_failures(dataset)
    failures = read_failures(dataset)
    failed = [one for one in registry if one.recording_id in failures]
    # To try a recording whose sound is not here fails, and costs it none of its results.
    absent = find_absent(dataset, failed)
    kept = {*superseded, *(one for one in absent if os.path.lexists(dataset.effort(one)))}
    missing = {
        one: note.error
        for one, note in failures.items()
        if note.stage != "report_bundle" and one not in kept
    }
    return build_corpus(dataset, counted, missing)


def build_corpus(
    dataset: Dataset, recording_ids: Sequence[str], missing: Mapping[str, str]
) -> CorpusTotals:
    """Brings the corpus up to date: parts with recordings that changed, and all that sums them up.

    Args:
        dataset: the corpus's.
        recording_ids: the recordings that should be in it. Those without files, or with a file
            that cannot be read, are listed as missing.
        missing: recording_id -> why it has no result; these are only listed as missing.

    Raises:
        DetectionsInvalid: the files cannot be read together, although each can be read alone.
        StorageFull: the disk or a quota is full.
    """
    try:
        return _build(dataset, recording_ids, missing)
    except duckdb.Error:
        # Perhaps a part that was kept is damaged; without it, it is written again.
        if not discard_damaged(dataset):
            raise
    return _build(dataset, recording_ids, missing)


def _build(
    dataset: Dataset, recording_ids: Sequence[str], missing: Mapping[str, str]
) -> CorpusTotals:
    absent = look_at_files(dataset, missing).absent
    reasons = {one: (absent.get(one, ""), why) for one, why in missing.items()}
    wanted = set(recording_ids) - missing.keys()
    previous = read_previous(dataset)
    unchanged = find_unchanged(previous, look_at_files(dataset, wanted).states)
    # Files that are as they were when they were read are here.
    changed = wanted.difference(unchanged["recording_id"].to_pylist())
    not_here = _fetch_results(dataset, changed)
    reasons |= not_here
    found = look_at_files(dataset, changed - not_here.keys())
    reasons |= {one: (stage, f"no {stage} yet") for one, stage in found.absent.items()}
    described, damaged = _describe(dataset, found.states["recording_id"].to_pylist())
    plan = PartPlan(dataset, previous, unchanged, described)
    parts, unreadable = _write_parts(dataset, plan)
    damaged |= unreadable
    reasons |= damaged
    totals = _publish(dataset, plan, parts, reasons)
    seen = _see(plan, parts, unchanged, found.states, damaged)
    if plan.due or seen.num_rows != previous.seen.num_rows:
        write_seen(dataset, seen)
    now = PartList(SCHEMA_VERSION, PART_CODE_VERSION, list(parts.values()))
    retire_files(previous.files, now, dataset.corpus)
    return replace(totals, damaged=len(damaged), not_here=len(not_here))


def _fetch_results(dataset: Dataset, recording_ids: Iterable[str]) -> _Reasons:
    """Fetches what the corpus is made from; returns recordings without it, with stage and why."""
    files = {
        path: (one, stage)
        for one in recording_ids
        for stage, path in made_from(dataset, one).items()
    }
    return {
        files[path][0]: (files[path][1], str(content_missing(path, why)))
        for path, why in fetch(files).items()
    }


def _describe(
    dataset: Dataset, recording_ids: Iterable[str]
) -> tuple[dict[str, Recording], _Reasons]:
    """Returns the descriptions of recordings, and those whose description is damaged."""
    described: dict[str, Recording] = {}
    damaged: _Reasons = {}
    for recording_id in sorted(recording_ids):
        try:
            described[recording_id] = read_recording(dataset.recording(recording_id))
        except DatasetInvalid as error:
            mark_damaged(dataset, "recording", recording_id)
            damaged[recording_id] = ("recording", str(error))
    return described, damaged


def _write_parts(dataset: Dataset, plan: PartPlan) -> tuple[dict[str, CorpusPart], _Reasons]:
    """Writes the parts that are due; returns all by folder, and recordings with damaged files."""
    parts = dict(plan.kept)
    damaged: _Reasons = {}
    n_threads = min(usable_cores(), _MOST_THREADS)
    groups = group_parts({one: len(plan.members[one]) for one in plan.due}, n_threads)

    with part_writers(dataset) as own_writer:
        outcomes = for_each(
            groups,
            lambda first: _write_some(dataset, plan, groups[first], own_writer()),
            min(n_threads, len(groups) or 1),
        )
        with closing(outcomes):
            for outcome in outcomes:
                written, found = outcome.require()
                damaged |= found
                parts |= {one.key.folder: one for one in written}
    return parts, damaged


def group_parts(n_recordings: Mapping[str, int], n_threads: int) -> dict[str, list[str]]:
    """Returns parts that are counted together: the first -> itself and those that follow it.

    Args:
        n_recordings: of each part.
        n_threads: that all have something to do, where there is enough.
    """
    most = min(_MOST_TOGETHER, -(-sum(n_recordings.values()) // n_threads))
    groups: dict[str, list[str]] = {}
    names, n = [], most + 1
    for name, n_own in n_recordings.items():
        if n + n_own > most:
            names, n = groups.setdefault(name, []), 0
        names.append(name)
        n += n_own
    return groups


def _write_some(
    dataset: Dataset, plan: PartPlan, folders: Iterable[str], writer: PartWriter
) -> tuple[list[CorpusPart], _Reasons]:
    """Writes parts, leaving out recordings whose files are damaged, and parts with no others."""
    parts: list[CorpusPart] = []
    damaged: _Reasons = {}
    written: list[WrittenRows] = []
    for folder in folders:
        rows, found = _write_rows(dataset, plan, folder, writer)
        damaged |= found
        if rows is not None:
            written.append(rows)
        if sum(one.n_rows for one in written) > _MOST_ROWS:
            parts += writer.sum_up(written)
            written = []
    return parts + (writer.sum_up(written) if written else []), damaged


def _write_rows(
    dataset: Dataset, plan: PartPlan, folder: str, writer: PartWriter
) -> tuple[WrittenRows | None, _Reasons]:
    job = plan.job(folder, from_files=False)
    try:
        return writer.write_rows(job), {}
    except DetectionsInvalid:
        # Perhaps it is the part as it was that is damaged.
        damaged = _find_damaged(dataset, plan.members[folder])
        if not damaged and job.base is None:
            raise
    if len(damaged) == len(plan.members[folder]):
        return None, damaged
    job = plan.job(folder, damaged.keys(), from_files=True)
    return writer.write_rows(job), damaged


def _find_damaged(dataset: Dataset, recording_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Reads every file; returns the recordings with a damaged file, and why.

    They are marked, so that the next run analyses them again.
    """
    damaged = {}
    for recording_id in recording_ids:
        try:
            read_detections(dataset.detections(recording_id))
            read_effort(dataset.effort(recording_id))
        except DetectionsInvalid as error:
            mark_damaged(dataset, "detections", recording_id)
            damaged[recording_id] = ("detections", str(error))
    return damaged


def _publish(
    dataset: Dataset, plan: PartPlan, parts: Mapping[str, CorpusPart], reasons: _Reasons
) -> CorpusTotals:
    """Writes all that is about the parts together; recordings without result with their reasons."""
    recordings = _leave_out(plan.recordings, reasons)
    missing = [
        {"recording_id": one, "stage": stage or "detections", "reason": dataset.without_root(why)}
        for one, (stage, why) in sorted(reasons.items())
    ]
    listed = PartList(SCHEMA_VERSION, PART_CODE_VERSION, [parts[one] for one in sorted(parts)])
    tables = {"recordings": recordings, "missing": pa.Table.from_pylist(missing, MISSING)}
    return write_root(dataset, listed, tables, _speech(dataset, recordings))


def _see(
    plan: PartPlan,
    parts: Mapping[str, CorpusPart],
    unchanged: pa.Table,
    states: pa.Table,
    damaged: Iterable[str],
) -> pa.Table:
    """Returns of which files the parts were made, by `SEEN`."""
    folders = [plan.places.get(one) for one in states["recording_id"].to_pylist()]
    new = states.append_column("folder", pa.array(folders, pa.string()))
    both = pa.concat_tables([unchanged.select(new.column_names), new])
    its = digests(both["folder"], parts)
    seen = both.append_column("digest", its.dictionary_encode()).filter(its.is_valid())
    return _leave_out(seen.select(SEEN.names), damaged).cast(SEEN)


def _leave_out(table: pa.Table, recording_ids: Iterable[str]) -> pa.Table:
    is_out = pc.is_in(table["recording_id"], pa.array(list(recording_ids), pa.string()))
    return table.filter(pc.invert(is_out))


def _speech(dataset: Dataset, recordings: pa.Table) -> dict[str, pa.Table]:
    """Returns the tables about speech; none where it is not searched for."""
    if not dataset.settings.speech.is_searched_for:
        return {}
    columns = (recordings[one].to_pylist() for one in ("recording_id", "sha256"))
    return speech_tables(read_changed_speech(dataset, dict(zip(*columns, strict=True))))
