"""Which parts of a corpus are to be written, as it is and as its recordings' files are.

Writing them is in `part_writing.py`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from badc_core.annexed_files import lacks_content
from badc_core.corpus.finished_database import reading_database
from badc_core.corpus.part_jobs import PartJob, Piece
from badc_core.corpus.parts import (
    CorpusPart,
    PartKey,
    PartList,
    files_by_path,
    find_unlike_files,
    read_part_list,
)
from badc_core.corpus.recordings_table import RECORDINGS, recordings_table
from badc_core.corpus.sources import SEEN, read_seen
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import sha256_file
from badc_core.provenance.annex import fetch
from badc_core.recordings.recording import Recording
from badc_core.stages.damage import put_contents_away

PART_CODE_VERSION = "5"
"""Raised by hand when parts would be written otherwise from the same files."""

_MOST_PIECES = 50
"""With more, all files of a part are read again."""


@dataclass(frozen=True)
class PreviousCorpus:
    """A corpus as it is, as far as it can be built upon.

    Attributes:
        parts: folder -> part whose files are all there.
        seen: the recordings in them, each as it was, by `SEEN`.
        recordings: their descriptions, by `RECORDINGS`.
        files: all that are listed in it, or in its database, below its folder.
    """

    parts: dict[str, CorpusPart] = field(default_factory=dict)
    seen: pa.Table = field(default_factory=SEEN.empty_table)
    recordings: pa.Table = field(default_factory=RECORDINGS.empty_table)
    files: list[str] = field(default_factory=list)


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
    files += files_by_path(listed)
    if listed.code != PART_CODE_VERSION or recordings is None:
        return PreviousCorpus(files=files)
    parts = _fetch_whole(corpus, listed)
    seen = read_seen(dataset)
    is_known = pc.is_in(seen["recording_id"], recordings["recording_id"].combine_chunks())
    is_there = pc.equal(seen["digest"].cast(pa.string()), digests(seen["folder"], parts))
    return PreviousCorpus(parts, seen.filter(pc.and_(is_known, is_there)), recordings, files)


def digests(folders: pa.ChunkedArray, parts: Mapping[str, CorpusPart]) -> pa.Array:
    """Returns the digests of parts by the folders of recordings; null for a part not there."""
    named = pa.array([one.digest for one in parts.values()], pa.string())
    return named.take(pc.index_in(folders, pa.array(list(parts), pa.string())).combine_chunks())


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
    unlike = [(one, find_unlike_files(corpus, one)) for one in listed.parts]
    fetch(path for _, paths in unlike for path in paths)
    return {
        one.key.folder: one
        for one, paths in unlike
        if not (paths and find_unlike_files(corpus, one))
    }


def _read_database(corpus: CorpusPaths) -> tuple[pa.Table | None, list[str]]:
    """Returns the recordings of a corpus, None if they cannot be read, and the files it is of."""
    try:
        with reading_database(corpus.duckdb) as connection:
            paths = connection.execute("SELECT path FROM parts").fetchall()
            table = connection.sql("SELECT * FROM recordings").to_arrow_table()
        return table.cast(RECORDINGS), [path for (path,) in paths]
    except (duckdb.Error, pa.ArrowException, OSError, ValueError):
        return None, []


class PartPlan:
    """What is to be done.

    Args:
        dataset: the corpus's.
        previous: the corpus as it is.
        unchanged: rows of `previous.seen`: recordings that stay in it as they are.
        described: the descriptions of the others that are to be in it.

    Attributes:
        recordings: all, by `RECORDINGS`, in order.
        kept: folder -> part that stays as it is.
        due: folders of parts that are to be written.
        members: folder of such a part -> its recordings, in order.
        places: folder of the part of each that is described.
    """

    def __init__(
        self,
        dataset: Dataset,
        previous: PreviousCorpus,
        unchanged: pa.Table,
        described: Mapping[str, Recording],
    ) -> None:
        self._dataset = dataset
        self._previous = previous
        self.recordings = _describe_all(previous, unchanged, described)
        keys = {
            one: PartKey.of(its.study_area, its.location, its.start_local)
            for one, its in described.items()
        }
        self.places = {one: key.folder for one, key in keys.items()}
        self._keys = {folder: one.key for folder, one in previous.parts.items()}
        self._keys |= {key.folder: key for key in keys.values()}
        before, now = _count(previous.seen), _count(unchanged)
        new = {*self.places.values()}
        whole = [one for one, n in now.items() if n == before[one] and one not in new]
        self.kept = {one: previous.parts[one] for one in whole}
        self.due = sorted({*now, *new} - self.kept.keys())
        self._before = _group(previous.seen, self.due)
        self._unchanged = _group(unchanged, self.due)
        self.members = {one: list(ids) for one, ids in self._unchanged.items()}
        for one, folder in self.places.items():
            self.members[folder].append(one)
        for ids in self.members.values():
            ids.sort()

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {one: n for n, one in enumerate(self.recordings["recording_id"].to_pylist())}

    def job(self, folder: str, without: Collection[str] = (), *, from_files: bool) -> PartJob:
        """Returns what is to be written of a part.

        Args:
            folder: its name.
            without: recordings that are left out after all.
            from_files: all of the recordings' own files, nothing of the part as it is.
        """
        members = [one for one in self.members[folder] if one not in without]
        rows = self.recordings.take([self._rows[one] for one in members])
        key, before = self._keys[folder], self._before[folder]
        kept = set() if from_files else self._unchanged[folder]
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


def find_unchanged(previous: PreviousCorpus, states: pa.Table) -> pa.Table:
    """Returns the rows of recordings whose files are as they were when the corpus was made."""
    seen = previous.seen
    at = pc.index_in(states["recording_id"], seen["recording_id"].combine_chunks())
    its = seen.take(at)
    return its.filter(pc.equal(its["state"], states["state"]))


def _describe_all(
    previous: PreviousCorpus, unchanged: pa.Table, described: Mapping[str, Recording]
) -> pa.Table:
    """Returns the recordings of a corpus by `RECORDINGS`, in order."""
    old = previous.recordings
    is_kept = pc.is_in(old["recording_id"], unchanged["recording_id"].combine_chunks())
    new = recordings_table(list(described.values()))
    return pa.concat_tables([old.filter(is_kept), new]).sort_by("recording_id")


def _count(seen: pa.Table) -> dict[str, int]:
    """Returns folder of a part -> number of its recordings."""
    counts = pc.value_counts(seen["folder"])
    return {one["values"]: one["counts"] for one in counts.to_pylist()}


def _group(seen: pa.Table, folders: Collection[str]) -> dict[str, set[str]]:
    """Returns folder of a part -> its recordings."""
    found: dict[str, set[str]] = {one: set() for one in folders}
    own = seen.filter(pc.is_in(seen["folder"], pa.array(folders, pa.string())))
    columns = (own[one].to_pylist() for one in ("recording_id", "folder"))
    for one, folder in zip(*columns, strict=True):
        found[folder].add(one)
    return found
