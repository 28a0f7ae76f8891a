"""What commands did by hand, as events of the asset graph.

They leave notes in the dataset (`badc_core/datasets/done_notes.py`). A note is removed after its
event is stored: if this is killed in between, the event is there twice, and none is lost.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from badc_core.atomic import remove_abandoned
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.done_notes import (
    ChunkNote,
    DetectionNote,
    DoneNote,
    claim_note,
    list_notes,
    mark_unreadable,
    may_remove_notes,
    notes_folder,
    put_aside_unregistered,
    read_note,
)
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import DatasetInvalid
from badc_core.locks import locked
from badc_core.units import counted, shorten
from badc_dagster.assets.by_hand import CHUNK_DETECTIONS, CHUNK_FILES, report_checks
from badc_dagster.dagster_private import storing_at_once
from badc_dagster.failures import RECORDINGS_FAILED
from badc_dagster.partitions import asset_key, in_pieces
from badc_dagster.taking_over import GraphPlace, Show

_AT_ONCE = 100
"""Events that are stored together; other processes that store events wait meanwhile."""

_SHOWN_JOBS = 5


@dataclass
class Collected:
    """What collecting notes came to.

    Attributes:
        finished: asset -> how many recordings commands have finished.
        failed: the same of those that they failed.
        failures: asset -> recording -> why the last that was tried with it failed.
        jobs: asset -> the Slurm jobs that all this is from.
        unregistered: recordings that the registry does not have; their notes stay.
        unreadable: file -> why it is no note, or cannot be read or removed.
        n_kept: notes that this user may not remove, and so were left.
    """

    finished: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    jobs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unregistered: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)
    n_kept: int = 0

    @property
    def n_events(self) -> int:
        """How many notes became events."""
        return self.finished.total() + self.failed.total()

    def describe(self) -> str:
        """Returns a sentence about what was collected."""
        names = {CHUNK_FILES: "chunk files", CHUNK_DETECTIONS: "detections by chunk"}
        counts = [(names[one], n, "") for one, n in self.finished.items()]
        counts += [(names[one], n, " failed") for one, n in self.failed.items()]
        parts = [f"{what} of {counted(n, 'recording')}{end}" for what, n, end in counts]
        shown = f"Work by hand that the web interface shows now: {', '.join(parts)}"
        if jobs := sorted(set[str]().union(*self.jobs.values()), key=lambda one: (len(one), one)):
            some = ", ".join(shorten(jobs, _SHOWN_JOBS))
            shown += f" (Slurm {'jobs' if len(jobs) > 1 else 'job'} {some})"
        return f"{shown}."

    def warnings(self, root: Path) -> Iterator[str]:
        """Yields a sentence for each kind of trouble.

        Args:
            root: of the dataset.
        """
        folder = notes_folder(root)
        if self.unregistered:
            yield (
                f"Work by hand on {counted(len(self.unregistered), 'recording')} is not shown, "
                f"such as {min(self.unregistered)}, since they are not registered. Put their files "
                f"back and run badc scan, or delete the notes in {folder}"
            )
        if self.unreadable:
            path, why = min(self.unreadable.items())
            n = counted(len(self.unreadable), "note")
            yield f"{n} of work by hand cannot be used, such as {path}: {why}"
        if self.n_kept:
            yield (
                f"{counted(self.n_kept, 'note')} of work by hand left: you may not remove files "
                f"in {folder}. Run badc scan as a user who may"
            )


def collect_and_say(
    place: GraphPlace, registered: Collection[str], show: Show, warn: Show
) -> Collected:
    """Does what `collect` does, and says what came of it."""
    outcome = collect(place, registered)
    if outcome.n_events:
        show(outcome.describe())
    for sentence in outcome.warnings(place[2].root):
        warn(sentence)
    return outcome


def collect(
    place: GraphPlace, registered: Collection[str], at_most: int | None = None
) -> Collected:
    """Turns notes into events, the oldest first.

    Args:
        place: the dataset, and where it is in the asset graph.
        registered: its recordings, which have partitions.
        at_most: so many notes, without those put aside; None for all.
    """
    dataset, outcome = place[2], Collected()
    try:
        notes = list_notes(dataset.root, with_unregistered=at_most is None)
    except OSError as error:
        outcome.unreadable[str(notes_folder(dataset.root))] = str(error.strerror)
        return outcome
    if not notes:
        return outcome
    if not may_remove_notes(dataset.root):
        outcome.n_kept = len(notes)
        return outcome
    remove_abandoned(notes_folder(dataset.root))
    collecting = _Collecting(place, registered, outcome)
    lock = prepare_work_file(dataset.work_folder, dataset.work_folder / "done.lock")
    pieces = [*in_pieces(notes[:at_most], _AT_ONCE)]
    for some in pieces:
        with locked(lock):
            collecting.take(some, is_last=some is pieces[-1])
    return outcome


class _Collecting:
    """Turns some notes into events at a time."""

    def __init__(self, place: GraphPlace, registered: Collection[str], outcome: Collected) -> None:
        self._instance, self._connection, self._dataset = place
        self._registered = registered
        self._outcome = outcome

    def take(self, paths: Collection[Path], *, is_last: bool) -> None:
        """Stores the events of some notes, after the last also of the checks; removes the notes."""
        notes = {path: note for path in paths if (note := self._read(path)) is not None}
        claimed = {self._claim(path): note for path, note in notes.items()}
        claimed.pop(None, None)
        with storing_at_once(self._instance):
            for note in claimed.values():
                self._instance.report_runless_asset_event(self._event(note))
        if is_last and (claimed or self._outcome.n_events):
            report_checks(self._instance, self._connection)
        for path, note in claimed.items():
            if path is not None:
                path.unlink(missing_ok=True)
            self._count(note)

    def _count(self, note: DoneNote) -> None:
        outcome = self._outcome
        (outcome.failed if note.error else outcome.finished)[note.kind] += 1
        outcome.failures.get(note.kind, {}).pop(note.recording_id, None)
        if note.error:
            outcome.failures[note.kind][note.recording_id] = note.error
        if note.slurm_job:
            outcome.jobs[note.kind].add(note.slurm_job.partition("_")[0])

    def _claim(self, path: Path) -> Path | None:
        try:
            return claim_note(path)
        except OSError:
            self._outcome.n_kept += 1
            return None

    def _read(self, path: Path) -> DoneNote | None:
        """Returns a note about a registered recording; None for others, which stay."""
        try:
            note = read_note(path)
        except FileNotFoundError:  # whoever collected it works on another machine
            return None
        except OSError as error:
            self._outcome.unreadable[str(path)] = str(error.strerror)
            return None
        except DatasetInvalid as error:
            self._outcome.unreadable[str(path)] = f"{error.what}, so it is renamed"
            with suppress(OSError):
                mark_unreadable(path)
            return None
        if note.recording_id not in self._registered:
            self._outcome.unregistered.add(note.recording_id)
            with suppress(OSError):
                put_aside_unregistered(path)
            return None
        return note

    def _event(self, note: DoneNote) -> dg.AssetMaterialization | dg.AssetObservation:
        key = asset_key(self._connection, note.kind)
        metadata = _metadata(self._dataset, note)
        if note.error:
            metadata = {RECORDINGS_FAILED: note.error, **metadata}
            return dg.AssetObservation(
                key,
                partition=note.recording_id,
                description=f"Failed: {note.error}",
                metadata=metadata,
            )
        return dg.AssetMaterialization(key, partition=note.recording_id, metadata=metadata)


def _metadata(dataset: Dataset, note: DoneNote) -> dict[str, Any]:
    facts = _chunk_facts(note) if isinstance(note, ChunkNote) else _detection_facts(dataset, note)
    slurm = {"slurm_job": note.slurm_job} if note.slurm_job else {}
    return {
        **facts,
        "folder": _path(dataset, note.folder),
        "manifest": _path(dataset, note.manifest),
        "command": note.command,
        "user": note.user,
        "host": note.host,
        **slurm,
        "started": dg.MetadataValue.timestamp(note.started_at),
        "finished": dg.MetadataValue.timestamp(note.finished_at),
    }


def _chunk_facts(note: ChunkNote) -> dict[str, Any]:
    counts = {"dagster/partition_row_count": note.chunks, "chunks_written": note.written}
    lengths = {"chunk_length_s": note.chunk_length_s, "overlap_s": note.overlap_s}
    return lengths if note.error else counts | lengths


def _detection_facts(dataset: Dataset, note: DetectionNote) -> dict[str, Any]:
    stub = {"stub": True} if note.is_stub else {}
    return {
        "dagster/partition_row_count": note.detections,
        **stub,
        "chunks": note.chunks,
        "chunks_failed": note.failed,
        "chunks_resumed": note.skipped,
        "audio_s": note.audio_s,
        "wall_s": round(note.wall_s, 3),
        "x_realtime": round(note.audio_s / note.detector_s, 1) if note.detector_s else 0.0,
        "detector": f"{note.detector} {note.detector_version}",
        "model_sha256": note.model_sha256 or "no model file",
        "config_hash": note.config_hash,
        "telemetry": _path(dataset, note.telemetry),
    }


def _path(dataset: Dataset, path: str) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.path(str(dataset.root / path))
