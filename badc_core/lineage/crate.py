"""A corpus as an RO-Crate: results with what they were made of, by which software and whom.

The folder holds copies of the corpus's files, the settings and the tables of recordings and
stations, so that it can be published by itself. Recordings are rows of a table, not entities: an
archive has hundreds of thousands, and no reader of crates copes with that.
Source: https://www.researchobject.org/ro-crate/specification/1.3; the action is that of a Process
Run Crate, whose profile is not claimed, since it asks for version 1.1 of the specification.
"""

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.annexed_files import require_fetched
from badc_core.atomic import replacing_folder
from badc_core.corpus.parts import files_by_path, read_part_list
from badc_core.corpus.snapshot import Snapshot
from badc_core.csv_tables import write_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, PackageMissing, ProgramMissing, RepositoryFailed
from badc_core.hashing import sha256_file
from badc_core.lineage.crate_folder import place_crate
from badc_core.lineage.crate_software import add_software
from badc_core.lineage.tracing import Lineage, trace
from badc_core.provenance.history import read_authors
from badc_core.settings import SETTINGS_FILE
from badc_core.units import counted

NO_LICENCE = "No licence was chosen: ask the authors before using this."

_SPECIFICATION = "1.3"
_INPUTS = """
    SELECT recording_id, path, sha256, size_bytes, duration_s, sample_rate_hz, n_channels,
        study_area, location, start_local, start_utc, device_make, device_model, device_serial
    FROM recordings ORDER BY recording_id
"""
_TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".toml": "application/toml",
}
_DUCKDB = "application/vnd.duckdb"


@dataclass(frozen=True)
class CrateWritten:
    """What was written.

    Attributes:
        folder: the crate.
        n_recordings: that its results are of.
        n_files: in it, beside its own metadata.
        unknown: what could not be found out, and why.
    """

    folder: Path
    n_recordings: int
    n_files: int
    unknown: tuple[str, ...]


def export_crate(dataset: Dataset, folder: Path, licence: str = "") -> CrateWritten:
    """Writes a corpus as an RO-Crate, replacing an older one.

    Args:
        dataset: whose corpus.
        folder: the crate.
        licence: of the results, a URL or a sentence; empty where none was chosen.

    Raises:
        PackageMissing: the package `rocrate` is not installed.
        DatasetInvalid: there is no corpus yet, or no page about it, or it cannot be read.
        ContentMissing: its content is not here.
        StorageFull, OutputUnwritable: the crate cannot be written, or something else is there.
    """
    try:
        from rocrate.rocrate import ROCrate  # noqa: PLC0415  (an extra)
    except ImportError as error:
        remedy = "Run: pip install 'badc[lineage]'"
        raise PackageMissing("the package rocrate is not installed", "", remedy) from error
    for path, what in (
        (dataset.corpus.duckdb, "there is no corpus yet"),
        (dataset.corpus.html, "the corpus has no page"),
        (dataset.corpus.parts, "the corpus is of another version"),
    ):
        if not os.path.lexists(path):
            raise DatasetInvalid(what, path, f"Run: badc run {shlex.quote(str(dataset.root))}")
    place = place_crate(folder)
    files = list(_corpus_files(dataset))
    for one in files:
        require_fetched(one)
    found = trace(dataset.corpus.duckdb)
    with replacing_folder(place) as aside:
        n_recordings = _write_inputs(dataset, aside / "recordings_analysed.csv")
        crate = ROCrate(version=_SPECIFICATION)
        _Filling(crate, dataset, found, licence).fill(files, aside, n_recordings)
        crate.write(aside)
    return CrateWritten(folder, n_recordings, len(files) + 1, found.unknown)


def _corpus_files(dataset: Dataset) -> Iterator[Path]:
    """Yields the files that are copied into a crate."""
    corpus = dataset.corpus
    yield from (corpus.duckdb, corpus.html, *corpus.list_pages(), corpus.parts)
    yield from (corpus.folder / one for one in files_by_path(read_part_list(corpus.parts)))
    yield from filter(os.path.lexists, (dataset.root / SETTINGS_FILE, dataset.deployments))
    yield from sorted(dataset.corpus.summary.glob("*.csv"))


def _write_inputs(dataset: Dataset, path: Path) -> int:
    """Writes the table of recordings, and returns how many there are."""
    with Snapshot(dataset) as snapshot:
        table = snapshot.read(_INPUTS)
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, table.column_names, (row.values() for row in table.to_pylist()))
    return int(table.num_rows)


class _Filling:
    """Puts entities into a crate."""

    def __init__(self, crate: Any, dataset: Dataset, found: Lineage, licence: str) -> None:
        self._crate = crate
        self._dataset = dataset
        self._found = found
        self._licence = licence

    def fill(self, files: list[Path], aside: Path, n_recordings: int) -> None:
        """Adds everything.

        Args:
            files: to copy.
            aside: folder of the crate, in which the table of recordings is already.
            n_recordings: rows of that table.
        """
        root = self._crate.root_dataset
        people = self._add_people()
        licence = self._add_licence()
        results = [self._add_file(one) for one in files]
        table = aside / "recordings_analysed.csv"
        inputs = self._add_table(table, n_recordings)
        self._crate.name = f"Bird detections in {self._dataset.root.name}"
        self._crate.description = (
            f"What BADC detected in {counted(n_recordings, 'recording')}: detections, effort and "
            "summaries. "
            "The recordings themselves are not in this crate; recordings_analysed.csv has the "
            "SHA-256 of each."
        )
        root["license"] = licence
        if people:
            everybody = list(people.values())
            root["author"] = everybody if len(people) > 1 else everybody[0]
        if self._found.commit is not None:
            root["version"] = self._found.commit.sha
        self._add_action(inputs, results, people)

    def _add(self, identifier: str, properties: dict[str, Any]) -> Any:
        from rocrate.model import ContextEntity  # noqa: PLC0415  (an extra)

        return self._crate.add(ContextEntity(self._crate, identifier, properties=properties))

    def _add_people(self) -> dict[str, Any]:
        """Adds the authors of commits, by name alone: addresses are not for publishing."""
        try:
            names = read_authors(self._dataset.root)
        except (ProgramMissing, RepositoryFailed):
            return {}
        return {
            name: self._add(f"#person-{number}", {"@type": "Person", "name": name})
            for number, name in enumerate(names, 1)
        }

    def _add_licence(self) -> Any:
        text = self._licence or NO_LICENCE
        is_url = text.startswith(("http://", "https://"))
        properties = {"@type": "CreativeWork", "name": text, "description": text}
        return self._add(text if is_url else "#licence", properties)

    def _add_file(self, path: Path) -> Any:
        root, folder = self._dataset.root, self._dataset.corpus.folder
        below = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        name = path.relative_to(folder if path.is_relative_to(folder) else path.parent).as_posix()
        is_stations = path == self._dataset.deployments
        known = _DESCRIPTIONS.get(path.name, "A summary of the detections.")
        if path.suffix == ".parquet":
            known = "What was found or analysed at one station in one month, or a summary of it."
        if path.parent in self._dataset.corpus.page_folders:
            known = "The page about a station or species."
        return self._crate.add_file(
            path.resolve(),
            name,
            properties={
                "name": below,
                "encodingFormat": _TYPES.get(path.suffix, _DUCKDB),
                "contentSize": str(path.stat().st_size),
                "sha256": sha256_file(path),
                "description": "The stations." if is_stations else known,
            },
        )

    def _add_table(self, path: Path, n_recordings: int) -> Any:
        return self._crate.add_file(
            path,
            path.name,
            properties={
                "name": "The recordings analysed",
                "encodingFormat": "text/csv",
                "contentSize": str(path.stat().st_size),
                "sha256": sha256_file(path),
                "description": f"{counted(n_recordings, 'recording')}: "
                "path, SHA-256, length, station, start.",
            },
        )

    def _add_action(self, inputs: Any, results: list[Any], people: dict[str, Any]) -> None:
        """Adds what was done: software, model, settings, and when."""
        badc = add_software(self._add, self._found.detectors)
        commit = self._found.commit
        properties: dict[str, Any] = {
            "name": "Detect birds in recordings",
            "description": commit.subject if commit else "Run by badc run",
            "endTime": commit.date if commit else self._written_at(),
        }
        if commit is not None and commit.author in people:
            properties["agent"] = people[commit.author]
        settings = [one for one in results if str(one.id).endswith(SETTINGS_FILE)]
        action = self._crate.add_action(
            badc,
            identifier="#run",
            object=[inputs, *settings, *self._add_settings()],
            result=[one for one in results if one not in settings],
            properties=properties,
        )
        self._crate.root_dataset["mentions"] = action

    def _written_at(self) -> str:
        seconds = self._dataset.corpus.duckdb.stat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

    def _add_settings(self) -> list[Any]:
        """Adds the settings of each detector, with the hash that every row of detections has."""
        added = []
        for number, one in enumerate(self._found.detectors, 1):
            text = "; ".join(f"{key} {value}" for key, value in one.settings.items())
            properties = {"@type": "PropertyValue", "name": f"config_hash of {one.name}"}
            properties |= {"value": one.config_hash, "description": text or "not known"}
            added.append(self._add(f"#settings-{number}", properties))
        return added


_DESCRIPTIONS = {
    "corpus.duckdb": "The recordings, and views of detections and effort in the Parquet files.",
    "parts.json": "The list of the Parquet files.",
    "report.html": "The page about all recordings.",
    SETTINGS_FILE: "The settings of the dataset.",
    "label_summary.csv": "Detections of each species or sound.",
    "recording_summary.csv": "Detections of each recording.",
}
