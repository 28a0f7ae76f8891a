"""Writing a recording's report bundle.

Its parts are made in `database.py`, `summaries.py` and `recording_page.py`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from pydantic import ValidationError

from badc_core.atomic import naming_storage_trouble, write_text
from badc_core.corpus.database import new_recording_database, query, replacing_database
from badc_core.corpus.speech_tables import find_speech_of, speech_tables
from badc_core.corpus.summaries import write_summaries
from badc_core.datasets.dataset import BundlePaths, Dataset
from badc_core.detections.store import DETECTOR_SETTINGS_KEY, read_metadata
from badc_core.detector_settings import DetectorSettings
from badc_core.errors import DetectionsInvalid
from badc_core.recordings.recording import read_recording
from badc_core.reports.highlights import Highlights, draw_bars, shrink_first_spectrogram
from badc_core.reports.recording_page import SPECIES, render_recording_page
from badc_core.reports.unmuted import remove_unmuted_page
from badc_core.species_names import SpeciesNames
from badc_core.speech.stored import FoundSpeech
from badc_core.validation import explain_invalid

_BARS = 24
_BY_TIME = f"""
    SELECT least(floor({_BARS} * absolute_time_ms / (1000 * duration_s)), {_BARS - 1})::INTEGER,
        count(*)
    FROM real_detections JOIN recordings USING (recording_id) GROUP BY 1
"""  # noqa: S608


@dataclass(frozen=True)
class BundleOutcome:
    """The contents of a bundle.

    Attributes:
        labels: different labels detected.
        effort_s: analysed, of `duration_s` recorded.
        dead_s: in which nothing was recorded, of the same.
        page_bytes: size of the page.
        highlights: what was found, in short.
        speech: where people speak; None where that was not searched for.
    """

    recording_id: str
    detections: int
    labels: int
    chunks: int
    failed_chunks: int
    duration_s: float
    effort_s: float
    dead_s: float
    page_bytes: int
    highlights: Highlights
    speech: FoundSpeech | None = None


def write_bundle(dataset: Dataset, recording_id: str) -> BundleOutcome:
    """Writes a recording's page, and in a full bundle its tables; each is replaced as a whole.

    Raises:
        DatasetInvalid: the recording has not been described.
        DetectionsInvalid: its detections or effort cannot be read.
        UnreadableRecording: its audio cannot be decoded for pictures and sounds.
        PackageMissing: speech is to be found, and what finds it is not installed.
        StorageFull: the disk or a quota is full.
    """
    dataset = _as_detected(dataset, recording_id)
    bundle = dataset.bundle(recording_id)
    recording = read_recording(dataset.recording(recording_id))
    is_searched = dataset.settings.speech.is_searched_for
    remove_unmuted_page(dataset, recording_id)  # what follows may fail
    found = find_speech_of(dataset, recording)
    segments = None if found is None else found.segments
    speech = speech_tables({recording_id: segments}) if is_searched else None
    is_full = dataset.settings.report.bundle == "full"
    # The other parts are made from the database, which a full bundle keeps.
    with (
        replacing_database(bundle.duckdb) if is_full else _passing_database() as path,
        new_recording_database(dataset, recording_id, path, speech) as connection,
    ):
        if is_full:
            write_summaries(connection, bundle, with_speech=is_searched)
        else:
            _remove_tables(bundle)
        (effort,) = query(connection, "SELECT * FROM effort_by_recording")
        page = render_recording_page(connection, dataset, recording, effort, segments)
        write_text(bundle.html, page)
        highlights = _highlights(connection, dataset, page)
    content = {field.name: effort[field.name] for field in fields(BundleOutcome)[:-3]}
    return BundleOutcome(
        **content, page_bytes=len(page.encode()), highlights=highlights, speech=found
    )


def _highlights(connection: duckdb.DuckDBPyConnection, dataset: Dataset, page: str) -> Highlights:
    """Returns the top species, and the best detection's spectrogram, else when there were any."""
    names = SpeciesNames.read(dataset.settings.report.language)
    species = names.add_to(query(connection, SPECIES))
    picture = shrink_first_spectrogram(page)
    if picture is None and species:
        counts = dict(connection.execute(_BY_TIME).fetchall())
        values = [counts.get(n, 0) for n in range(_BARS)]
        picture = draw_bars(values, ("start", "end"), "Detections through the recording")
    return Highlights.choose(species, picture)


@contextmanager
def _passing_database() -> Iterator[Path]:
    """Yields a path for a database that is removed afterwards."""
    with TemporaryDirectory(prefix="badc-report-") as folder:
        yield Path(folder) / "report.duckdb"


def _remove_tables(bundle: BundlePaths) -> None:
    """Removes the tables of an earlier full bundle, which would contradict the page from now on."""
    for path in bundle.tables:
        with naming_storage_trouble(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _as_detected(dataset: Dataset, recording_id: str) -> Dataset:
    """Returns the dataset with the detector settings of its detections."""
    stored = read_metadata(dataset.detections(recording_id)).get(DETECTOR_SETTINGS_KEY)
    if stored is None:
        return dataset
    try:
        detector = DetectorSettings.model_validate_json(stored)
    except ValidationError as error:
        raise DetectionsInvalid(
            f"its detector settings are malformed ({explain_invalid(error)})",
            dataset.detections(recording_id),
            "Materialise the recording's detections again: badc run",
        ) from error
    return replace(dataset, settings=dataset.settings.model_copy(update={"detector": detector}))
