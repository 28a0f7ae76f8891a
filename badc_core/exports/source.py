"""What exports are written from: the corpus, as one state, recording by recording.

Detections are read in batches of recordings, so memory does not grow with the archive.
"""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from functools import cached_property
from pathlib import PurePosixPath

from badc_core.corpus.snapshot import Snapshot
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, OptionInvalid
from badc_core.exports.rows import Found, RecordingResults, SourceLabel, SourceRecording
from badc_core.exports.selection import ExportSelection
from badc_core.hashing import sha256_text
from badc_core.intervals import Interval, subtract, unite
from badc_core.lineage.detectors_used import UsedIn, read_corpus_detectors
from badc_core.units import counted, shorten
from badc_core.validation import suggest_names

_IN_A_BATCH = 200
_RECORDINGS = """
    SELECT recording_id, path, sha256, study_area, location, start_local, start_utc,
        utc_offset_min, timezone, duration_s, sample_rate_hz, audio_format, lat, lon, elevation_m,
        device_make, device_model, device_serial,
        coalesce(made.is_stub, false) AS is_stub
    FROM recordings LEFT JOIN (
        SELECT recording_id, stub_chunks > 0 AS is_stub FROM chunks_by_recording
    ) AS made USING (recording_id)
    ORDER BY recording_id
"""
_CHOSEN = """
    confidence >= $2 AND (NOT $3 OR is_expected IS DISTINCT FROM false)
    AND (len($4) = 0 OR list_contains($4, lower(label)) OR list_contains($4, lower(label_name))
        OR list_contains($4, lower(scientific_name)))
"""
_FOUND = f"""
    SELECT recording_id, absolute_time_ms AS start_ms, absolute_end_ms AS end_ms, label, label_code,
        label_name, scientific_name, ebird_code, confidence AS score, min_freq_hz, max_freq_hz,
        is_expected, runner, model_version, config_hash, detection_id
    FROM real_detections
    WHERE recording_id IN (SELECT unnest($1::VARCHAR[])) AND {_CHOSEN}
    ORDER BY recording_id, absolute_time_ms, absolute_end_ms, label
"""  # noqa: S608
# A label may have had another name in results of an older version.
_LABELS = f"""
    SELECT label, any_value(label_name ORDER BY label_name) AS label_name,
        any_value(scientific_name ORDER BY scientific_name) AS scientific_name
    FROM real_detections
    WHERE (len($4) > 0 OR recording_id IN (SELECT unnest($1::VARCHAR[]))) AND {_CHOSEN}
    GROUP BY label ORDER BY label
"""  # noqa: S608
_PART_FILES = "SELECT path FROM corpus.parts WHERE name IN ('detections', 'chunks')"
_ANALYSED = """
    SELECT recording_id, chunk_start_ms, chunk_end_ms, not_analysed FROM chunks
    WHERE recording_id IN (SELECT unnest($1::VARCHAR[])) AND effort_s > 0 AND status <> 'error'
    ORDER BY recording_id, chunk_start_ms
"""

_MOST_NAMED = 5


class ExportSource:
    """The chosen results of a dataset.

    Attributes:
        dataset: whose results.
        selection: which.
        notes: what was left out and why, for people; formats add their own.
        tallies: recording_id -> detections and milliseconds analysed, of recordings that were read.
        skipped: recordings that are not read, since their files are as they would be written.
    """

    def __init__(self, dataset: Dataset, snapshot: Snapshot, selection: ExportSelection) -> None:
        self.dataset = dataset
        self.selection = selection
        self.notes: list[str] = []
        self.tallies: dict[str, tuple[int, int]] = {}
        self.skipped: Set[str] = frozenset()
        self._snapshot = snapshot
        self._root = shlex.quote(str(dataset.root))

    @cached_property
    def recordings(self) -> tuple[SourceRecording, ...]:
        """The chosen recordings with results, in order of their names.

        Raises:
            OptionInvalid: no recording is of a station.
            DatasetInvalid: nothing is left to export.
        """
        every = [SourceRecording(**one) for one in self._snapshot.read(_RECORDINGS).to_pylist()]
        self._require_stations({one.location for one in every})
        self.note_left_out("no model ran", [one for one in every if one.is_stub])
        chosen = self.selection
        found = tuple(
            one
            for one in every
            if not one.is_stub
            and (not chosen.station or one.location in chosen.station)
            and chosen.has_day(one.start_local)
        )
        if not found:
            remedy = f"Choose more, or see what has results: badc status {self._root}"
            what = "no recording with results is left to export"
            raise DatasetInvalid(what, self.dataset.corpus.duckdb, remedy)
        return found

    @cached_property
    def labels(self) -> tuple[SourceLabel, ...]:
        """What was detected in them, in order of the labels.

        What was wanted by name is there too if it was detected elsewhere only, or with lower
        scores: that it was not found is a result.
        """
        names = [one.recording_id for one in self.recordings]
        min_score, expected_only, species = self._choice()
        if species:
            min_score, expected_only = 0.0, False
        rows = self._snapshot.read(_LABELS, names, min_score, expected_only, species).to_pylist()
        return tuple(SourceLabel(**one) for one in rows)

    @cached_property
    def detectors(self) -> UsedIn:
        """What detected in them, and in the others of the corpus."""
        return read_corpus_detectors(self.dataset)

    def note_left_out(self, why: str, recordings: Sequence[SourceRecording]) -> None:
        """Notes recordings that are not exported, if there are any, with some of their names."""
        if recordings:
            names = shorten([one.recording_id for one in recordings], _MOST_NAMED)
            what = counted(len(recordings), "recording")
            self.notes.append(f"{what} left out, since {why}: {', '.join(names)}")

    def made_from(self) -> dict[str, str]:
        """Returns recording_id -> digest of what is in the corpus about it, or about its part.

        Files of parts are named by their content: what is in them need not be read.
        """
        rows = self._snapshot.read(_PART_FILES).to_pylist()
        paths = {PurePosixPath(one["path"]) for one in rows}
        files: dict[str, list[str]] = defaultdict(list)
        for path in sorted(paths):
            folder = path.parent.relative_to(path.parents[-2]).as_posix()
            files[folder].append(path.name)
        return {
            one.recording_id: sha256_text(repr((one, files.get(one.part.folder))))[:16]
            for one in self.recordings
        }

    def read(self) -> Iterator[RecordingResults]:
        """Yields the results of every recording, in order, also where nothing was found.

        Not of those that are to be skipped.
        """
        wanted = [one for one in self.recordings if one.recording_id not in self.skipped]
        for start in range(0, len(wanted), _IN_A_BATCH):
            batch = wanted[start : start + _IN_A_BATCH]
            names = [one.recording_id for one in batch]
            found: dict[str, list[Found]] = defaultdict(list)
            for row in self._snapshot.read(_FOUND, names, *self._choice()).to_pylist():
                found[row["recording_id"]].append(Found(**row))
            analysed = self._read_analysed(names)
            for one in batch:
                key = one.recording_id
                results = RecordingResults(one, found[key], analysed.get(key, ()))
                self.tallies[key] = len(results.found), results.analysed_ms
                yield results

    def _read_analysed(self, names: list[str]) -> dict[str, tuple[Interval, ...]]:
        """Returns recording_id -> where it was analysed."""
        chunks: dict[str, list[Interval]] = defaultdict(list)
        gaps: dict[str, list[Interval]] = defaultdict(list)
        for row in self._snapshot.read(_ANALYSED, names).to_pylist():
            key = row["recording_id"]
            chunks[key].append((row["chunk_start_ms"], row["chunk_end_ms"]))
            gaps[key] += [(one["start_ms"], one["end_ms"]) for one in row["not_analysed"] or ()]
        return {key: subtract(unite(own), gaps[key]) for key, own in chunks.items()}

    def _choice(self) -> tuple[float, bool, list[str]]:
        chosen = self.selection
        species = [one.lower() for one in chosen.species]
        return chosen.min_score or 0.0, chosen.expected_only, species

    def _require_stations(self, known: set[str | None]) -> None:
        unknown = [one for one in self.selection.station if one not in known]
        if unknown:
            remedy = suggest_names(unknown[0], filter(None, known))
            raise OptionInvalid(f"no station is called {unknown[0]!r}", "--station", remedy)

    def require_species(self) -> None:
        """Returns if everything that was wanted by name was detected.

        Raises:
            OptionInvalid: something was not, or is misspelt.
        """
        if not self.selection.species:
            return
        rows = self._snapshot.read(
            "SELECT DISTINCT unnest([label, label_name, scientific_name]) AS name "
            "FROM real_detections"
        ).to_pylist()
        names = {one["name"] for one in rows if one["name"]}
        known = {one.lower() for one in names}
        for one in self.selection.species:
            if one.lower() not in known:
                remedy = suggest_names(one, names)
                raise OptionInvalid(f"nothing was detected called {one!r}", "--species", remedy)
