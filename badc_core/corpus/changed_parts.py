"""Which parts of a corpus are to be written, as it is and as its recordings' files are.

Writing them is in `part_writing.py`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from badc_core.annexed_files import lacks_content
from badc_core.corpus.finished_database import reading_database
from badc_core.corpus.part_writing import PartJob, Piece
from badc_core.corpus.parts import (
    CorpusPart,
    PartKey,
    PartList,
    explain_lost_file,
    files_by_path,
    read_part_list,
)
from badc_core.corpus.recordings_table import RECORDINGS, recordings_table
from badc_core.corpus.sources import SeenRecording, read_seen
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import sha256_file
from badc_core.provenance.annex import fetch
from badc_core.recordings.recording import Recording
from badc_core.stages.damage import put_contents_away

PART_CODE_VERSION = "3"
"""Raised by hand when parts would be written otherwise from the same files."""

_MOST_PIECES = 50
"""With more, all files of a part are read again."""


@dataclass(frozen=True)
class PreviousCorpus:
    """A corpus as it is, as far as it can be built upon.

    Attributes:
        parts: folder -> part whose files are all there.
        seen: the recordings in them, each as it was.
        recordings: their descriptions, by `RECORDINGS`.
        files: all that are listed in it, or in its database.
    """

    parts: dict[str, CorpusPart] = field(default_factory=dict)
    seen: dict[str, SeenRecording] = field(default_factory=dict)
    recordings: pa.Table = field(default_factory=RECORDINGS.empty_table)
    files: list[Path] = field(default_factory=list)


def read_previous(dataset: Dataset) -> PreviousCorpus:
    """Returns the corpus as it is; nothing where there is none, or another version's.

    Files whose content is elsewhere are fetched; parts of which one cannot be are none of it.
    """
    corpus = dataset.corpus
    fetch([corpus.duckdb, corpus.parts])
    recordings, files = _read_database(corpus)
    try:
        listed = read_part_list(corpus.parts)
    except DatasetInvalid:
        return PreviousCorpus(files=files)
    files += [corpus.folder / one for one in files_by_path(listed)]
    if listed.code != PART_CODE_VERSION or recordings is None:
        return PreviousCorpus(files=files)
    parts = _fetch_whole(corpus, listed)
    known = set(recordings["recording_id"].to_pylist())
    seen = {
        one: its
        for one, its in read_seen(dataset).items()
        if one in known and its.folder in parts and parts[its.folder].digest == its.digest
    }
    return PreviousCorpus(parts, seen, recordings, files)


def discard_damaged(dataset: Dataset) -> bool:
    """Removes files of parts that are not as they were written; returns whether there were any.

    All are read in full.
    """
    corpus = dataset.corpus
    try:
        listed = files_by_path(read_part_list(corpus.parts))
    except DatasetInvalid:
        return False
    here = {corpus.folder / one: its for one, its in listed.items()}
    damaged = [one for one, its in here.items() if one.is_file() and sha256_file(one) != its.sha256]
    put_contents_away(damaged)
    for one in damaged:
        if not lacks_content(one):
            one.unlink(missing_ok=True)
    return bool(damaged)


def _fetch_whole(corpus: CorpusPaths, listed: PartList) -> dict[str, CorpusPart]:
    """Returns folder -> part whose files are all here; those that are elsewhere are fetched."""
    whole = [one for one in listed.parts if not explain_lost_file(corpus, one)]
    files = {
        one.key.folder: [corpus.folder / its.path for its in one.files.values()] for one in whole
    }
    lacking = fetch(path for paths in files.values() for path in paths)
    return {
        one.key.folder: one for one in whole if lacking.keys().isdisjoint(files[one.key.folder])
    }


def _read_database(corpus: CorpusPaths) -> tuple[pa.Table | None, list[Path]]:
    """Returns the recordings of a corpus, None if they cannot be read, and the files it is of."""
    try:
        with reading_database(corpus.duckdb) as connection:
            paths = connection.execute("SELECT path FROM parts").fetchall()
            table = connection.sql("SELECT * FROM recordings").to_arrow_table()
        files = [corpus.folder / path for (path,) in paths]
        return table.cast(RECORDINGS), files
    except (duckdb.Error, pa.ArrowException, OSError, ValueError):
        return None, []


class PartPlan:
    """What is to be done.

    Args:
        dataset: the corpus's.
        previous: the corpus as it is.
        states: recording_id -> state of its files, of all recordings that are to be in it.
        described: the descriptions of those that are not as they were.

    Attributes:
        recordings: all, by `RECORDINGS`, in order.
        kept: folder -> part that stays as it is.
        due: folders of parts that are to be written.
        members: folder -> its recordings, in order.
    """

    def __init__(
        self,
        dataset: Dataset,
        previous: PreviousCorpus,
        states: Mapping[str, str],
        described: Mapping[str, Recording],
    ) -> None:
        self._dataset = dataset
        self._previous = previous
        self._unchanged = {one for one in find_unchanged(previous, states) if one not in described}
        self.members: dict[str, list[str]] = {}
        self._keys = {folder: one.key for folder, one in previous.parts.items()}
        for one in sorted({*self._unchanged, *described}):
            folder = self._place(one, described)
            self.members.setdefault(folder, []).append(one)
        self.recordings = self._describe_all(described)
        self._rows = {one: n for n, one in enumerate(self.recordings["recording_id"].to_pylist())}
        self._before: dict[str, set[str]] = {}
        for one, its in previous.seen.items():
            self._before.setdefault(its.folder, set()).add(one)
        self.due = [one for one, ids in self.members.items() if not self._is_as_it_was(one, ids)]
        self.kept = {one: previous.parts[one] for one in self.members.keys() - set(self.due)}

    def job(self, folder: str, without: Collection[str] = (), *, from_files: bool) -> PartJob:
        """Returns what is to be written of a part.

        Args:
            folder: its name.
            without: recordings that are left out after all.
            from_files: all of the recordings' own files, nothing of the part as it is.
        """
        members = [one for one in self.members[folder] if one not in without]
        rows = self.recordings.take([self._rows[one] for one in members])
        key, before = self._keys[folder], self._before.get(folder, set())
        kept = set() if from_files else before & self._unchanged
        pieces = list(self._cut(members, kept))
        if len(pieces) > _MOST_PIECES:
            kept, pieces = set(), list(self._cut(members, set()))
        if kept.isdisjoint(members):
            return PartJob(key, rows, pieces)
        gone = sorted(before - set(members))
        return PartJob(key, rows, pieces, self._previous.parts[folder], gone)

    def _cut(self, members: list[str], kept: Collection[str]) -> Iterator[Piece]:
        """Yields pieces of recordings in a row whose rows come from the same place."""
        for is_kept, group in groupby(members, lambda one: one in kept):
            ids = list(group)
            if is_kept:
                yield Piece(first=ids[0], last=ids[-1])
                continue
            detections = [self._dataset.detections(one) for one in ids]
            chunks = [self._dataset.effort(one) for one in ids]
            yield Piece({"detections": detections, "chunks": chunks})

    def _place(self, recording_id: str, described: Mapping[str, Recording]) -> str:
        """Returns the folder of a recording's part, whose key is then known."""
        if recording_id in described:
            one = described[recording_id]
            key = PartKey.of(one.study_area, one.location, one.start_local)
            folder = key.folder
            self._keys[folder] = key
            return folder
        return self._previous.seen[recording_id].folder

    def _describe_all(self, described: Mapping[str, Recording]) -> pa.Table:
        old = self._previous.recordings
        is_kept = pc.is_in(old["recording_id"], pa.array(sorted(self._unchanged), pa.string()))
        new = recordings_table(list(described.values()))
        return pa.concat_tables([old.filter(is_kept), new]).sort_by("recording_id")

    def _is_as_it_was(self, folder: str, members: list[str]) -> bool:
        return len(members) == len(self._before.get(folder, ())) and self._unchanged.issuperset(
            members
        )


def find_unchanged(previous: PreviousCorpus, states: Mapping[str, str]) -> set[str]:
    """Returns the recordings whose files are as they were when the corpus was made."""
    seen = previous.seen
    return {one for one, state in states.items() if one in seen and seen[one].state == state}
