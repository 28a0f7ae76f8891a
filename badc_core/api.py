"""BADC from Python: `import badc_core.api as badc`.

A dataset's recordings, detections, effort and summaries as Arrow tables, of which `.to_pandas()`
makes DataFrames, and running a chunk manifest. What the columns mean is in docs/columns.md, how to
use all this in docs/python-api.md. Nothing here writes into a dataset, except `run_manifest`.
"""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import pyarrow as pa

from badc_core.corpus.database import VIEWS
from badc_core.corpus.snapshot import Snapshot
from badc_core.datasets.connections import read_connections
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, ConfigInvalid
from badc_core.options import option_fields
from badc_core.recordings.registry import unknown_recording

if TYPE_CHECKING:
    from badc_core.inference.run_spec import RunResult

__all__ = ["VIEWS", "BadcError", "Results", "open_dataset", "run_manifest"]

_SHOWN = 10
_RECORDINGS = """
    SELECT
        g.recording_id, g.path, r.study_area, r.location, r.start_local, r.start_utc, r.timezone,
        r.lat, r.lon, r.duration_s,
        CASE WHEN r.recording_id IS NULL THEN g.state_without_result
            WHEN s.recording_id IS NOT NULL THEN 'not analysed'
            WHEN e.failed_chunks > 0 THEN 'incomplete' ELSE 'analysed' END AS state,
        CASE WHEN r.recording_id IS NULL THEN g.reason
            WHEN s.recording_id IS NOT NULL THEN 'the stub runner: no model ran'
            WHEN e.failed_chunks > 0
            THEN concat(e.failed_chunks, ' of ', e.chunks, ' chunks failed') END AS reason,
        coalesce(e.effort_s, 0) AS effort_s, coalesce(e.dead_s, 0) AS dead_s,
        e.chunks, e.failed_chunks, e.detections, e.labels, r.warnings
    FROM registered g LEFT JOIN recordings r USING (recording_id)
    LEFT JOIN effort_by_recording e USING (recording_id)
    LEFT JOIN (SELECT recording_id FROM chunks_by_recording WHERE stub_chunks > 0) s
        USING (recording_id)
    ORDER BY g.recording_id
"""
_DETECTIONS = """
    SELECT * FROM real_detections WHERE {where}
    ORDER BY recording_id, absolute_time_ms, label, absolute_end_ms
"""
_EFFORT = """
    SELECT c.*, r.study_area, r.location, r.start_local AS recording_start_local
    FROM chunks c JOIN recordings r USING (recording_id) WHERE {where}
    ORDER BY recording_id, chunk_start_ms
"""
_IDS = "SELECT recording_id FROM registered"
_STATIONS = "SELECT DISTINCT location FROM recordings WHERE location IS NOT NULL"
_RECORDING = "recording_id IN (SELECT recording_id FROM recordings WHERE {})"
_IN_LIST = "list_contains(?::VARCHAR[], {})"
_SPECIES = "list_has_any(?::VARCHAR[], [lower(label), lower(label_name), lower(scientific_name)])"

Names: TypeAlias = str | Sequence[str]
"""One name, or several."""

Day: TypeAlias = date | str
"""A day, or one as ISO 8601 writes it: `2024-05-14`."""

Days: TypeAlias = Day | tuple[Day | None, Day | None]
"""One day, or the first and the last, either of which may be left open with None."""


class Results:
    """What is known of a dataset's recordings; as a context manager, or until `close`.

    All that is read from one such object is of one moment: a run that writes meanwhile changes
    nothing, and is not held up. Where the dataset has a corpus database, that is read; where it has
    none yet, every recording's own files.

    Attributes:
        root: the dataset's folder.
        is_corpus: whether the corpus database is read.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Opens a dataset's results.

        Raises:
            ContentMissing: they are annexed, and their content is not here.
            DatasetInvalid, DetectionsInvalid: a file is damaged or of another schema; it is named.
        """
        self.root = dataset.root
        self._snapshot = Snapshot(dataset)
        self.is_corpus = self._snapshot.is_corpus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self._snapshot.close()

    def recordings(self) -> pa.Table:
        """Returns every recording of the dataset, a row each, whatever became of it.

        `state` is `analysed`; `incomplete`, where chunks failed; `failed`, `not analysed` or
        `not in the corpus`, where there is no result, and `reason` says why. `effort_s` is how many
        seconds were analysed: 0 detections in 3600 s are a finding, 0 in 0 s are none.
        """
        return self._snapshot.read(_RECORDINGS)

    def detections(
        self,
        *,
        species: Names | None = None,
        min_score: float | None = None,
        stations: Names | None = None,
        recordings: Names | None = None,
        days: Days = (None, None),
    ) -> pa.Table:
        """Returns detections, ordered by recording and time; `effort` is what they were found in.

        None chooses all species, stations or recordings; an empty list chooses none.

        Args:
            species: common or scientific names, or codes, in any case. One that was not detected,
                or is misspelt, gives no rows.
            min_score: the weakest wanted, 0 to 1.
            stations: as `location` has them.
            recordings: their recording_ids.
            days: on which recordings start, by local time at the station. Recordings whose start
                is not known are in none.

        Raises:
            ConfigInvalid: a station that no recording is from, a day that is none, or a score
                below the weakest that was kept.
            RecordingUnknown: a recording that is not in the dataset.
        """
        kept = self._snapshot.min_score
        if min_score is not None and min_score < kept:
            raise ConfigInvalid(
                f"only detections with a score of {kept:g} or more were kept",
                f"min_score {min_score:g}",
                "Run: badc run DATASET --min-score SCORE, or leave out min_score",
            )
        where, values = self._choose(stations, recordings, days)
        if species is not None:
            where.append(_SPECIES)
            values.append([one.lower() for one in _names(species)])
        where += [] if min_score is None else ["confidence >= ?"]
        values += [] if min_score is None else [min_score]
        return self._snapshot.read(_DETECTIONS.format(where=" AND ".join(where)), *values)

    def effort(
        self,
        *,
        stations: Names | None = None,
        recordings: Names | None = None,
        days: Days = (None, None),
    ) -> pa.Table:
        """Returns the chunks that were analysed or failed, with the seconds analysed in each.

        The same recordings as `detections` has with the same arguments, those without detections
        among them; `status` is `ok`, `no_detections`, `error`, or `stub` where no model ran.
        Recordings without any result have no chunks: see `recordings`.

        Args:
            stations: as of `detections`; likewise `recordings` and `days`.
            recordings: their recording_ids.
            days: on which recordings start.

        Raises:
            ConfigInvalid, RecordingUnknown: as `detections`.
        """
        where, values = self._choose(stations, recordings, days)
        return self._snapshot.read(_EFFORT.format(where=" AND ".join(where)), *values)

    def view(self, name: str, limit: int | None = None) -> pa.Table:
        """Returns a summary.

        Args:
            name: `label_summary`, `recording_summary`, `timeline_summary`, or another of `VIEWS`.
            limit: at most so many rows; None for all.

        Raises:
            ConfigInvalid: there is no such view, or the limit is below 0.
        """
        if name not in VIEWS:
            raise ConfigInvalid("no view of this name", name, f"There are: {', '.join(VIEWS)}")
        if limit is not None and limit < 0:
            raise ConfigInvalid("must be 0 or more", f"limit {limit}", "Give None for all rows")
        return self._snapshot.read(f'SELECT * FROM "{name}" LIMIT ?', limit)  # noqa: S608

    def _choose(
        self, stations: Names | None, recordings: Names | None, days: Days
    ) -> tuple[list[str], list[object]]:
        """Returns conditions on rows about recordings, and the values in them."""
        first, last = _first_and_last(days)
        chosen: dict[str, object] = {
            _IN_LIST.format("recording_id"): self._known_recordings(recordings),
            _IN_LIST.format("location"): self._known_stations(stations),
            "start_local >= ?": first,
            "start_local < ?": None if last is None else last + timedelta(days=1),
        }
        given = {condition: value for condition, value in chosen.items() if value is not None}
        conditions = " AND ".join(given) or "true"
        return [_RECORDING.format(conditions)], list(given.values())

    def _known_recordings(self, names: Names | None) -> list[str] | None:
        """Returns recording_ids; raises RecordingUnknown for one that is not in the dataset."""
        if names is None:
            return None
        wanted = list(_names(names))
        known = self._snapshot.read(_IDS)["recording_id"].to_pylist()
        for one in sorted({*wanted} - {*known}):
            raise unknown_recording(one, known)
        return wanted

    def _known_stations(self, names: Names | None) -> list[str] | None:
        """Returns station names; raises ConfigInvalid for one that no recording is from."""
        if names is None:
            return None
        wanted = list(_names(names))
        known = self._snapshot.read(_STATIONS)["location"].to_pylist()
        for one in wanted:
            if one not in known:
                close = ", ".join(difflib.get_close_matches(one, known) or sorted(known)[:_SHOWN])
                raise ConfigInvalid("no recording is from this station", one, f"There are: {close}")
        return wanted


def open_dataset(place: str | Path, home: str | Path | None = None) -> Results:
    """Returns the results of a dataset.

    Args:
        place: its folder, or the name it is connected under.
        home: the Dagster home that knows such names; None: only folders are known.

    Raises:
        DatasetInvalid: there is no such dataset.
        ContentMissing, DetectionsInvalid: as `Results`.
    """
    known = read_connections(Path(home)) if home is not None else ()
    root = next((one.root for one in known if one.name == place), Path(place))
    return Results(Dataset.open(root))


def run_manifest(manifest: Path, **options: Any) -> "RunResult":
    """Runs a detector over the chunks of a manifest, as `badc infer run MANIFEST` does.

    Results in a DataLad dataset are committed as `record_datalad` says; where that turns out to be
    impossible, the result's `warnings` say so.

    Args:
        manifest: the file.
        options: those of that command, with underscores: `detector="band_energy"`,
            `min_score=0.4`, `output_dir=Path("found")`; `assignments=("section.key=value",)` is
            its `--set`.

    Raises:
        ConfigInvalid: an option there is not, or a value that cannot be used.
        ManifestMismatch: the manifest cannot be used.
        DetectorMissing, DetectorFailed: the detector cannot be run.
        ProgramMissing, RepositoryFailed: commits are required and impossible.
    """
    from badc_core.cli.run_options import RunOptions  # noqa: PLC0415  (a second, and rarely used)
    from badc_core.inference.manifest_run import ManifestRun  # noqa: PLC0415
    from badc_core.inference.manifest_runs import run_and_commit  # noqa: PLC0415

    known = [one.name for one in option_fields(RunOptions) if one.name != "manifest"]
    for name in options:
        if name not in known:
            raise ConfigInvalid("no option of this name", name, f"There are: {', '.join(known)}")
    said: list[str] = []
    run = ManifestRun(RunOptions(manifest=Path(manifest), **options).order())
    result = run_and_commit(run, said.append)
    return replace(result, warnings=(*result.warnings, *said))


def _names(given: Names) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _first_and_last(days: Days) -> tuple[date | None, date | None]:
    first, last = days if isinstance(days, tuple) else (days, days)
    return _day(first), _day(last)


def _day(given: Day | None) -> date | None:
    if given is None or isinstance(given, date):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise ConfigInvalid("not a day", given, "Write it as 2024-05-14") from error
