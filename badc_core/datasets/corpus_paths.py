"""The names of the files about all recordings of a dataset together."""

from dataclasses import dataclass
from pathlib import Path

from badc_core.file_names import to_file_name


@dataclass(frozen=True)
class CorpusPaths:
    """The files that stand for all recordings of a dataset together."""

    folder: Path

    @property
    def duckdb(self) -> Path:
        """Database with `recordings`, and views of the parts, such as `detections`."""
        return self.folder / "corpus.duckdb"

    @property
    def parts(self) -> Path:
        """List of the parts (`corpus/parts.py`), as JSON."""
        return self.folder / "parts.json"

    def table(self, name: str) -> Path:
        """Folder of the parts' files of one table."""
        if name == "detections":
            return self.folder / name
        return self.folder / "effort" if name == "chunks" else self.folder / "summaries" / name

    @property
    def part_folders(self) -> tuple[Path, ...]:
        """Folders with nothing but files of parts."""
        return tuple(self.folder / one for one in ("detections", "effort", "summaries"))

    @property
    def html(self) -> Path:
        """The page about the dataset; like all pages, it is self-contained."""
        return self.folder / "report.html"

    @property
    def stations(self) -> Path:
        """Folder with a page per station, and nothing else."""
        return self.folder / "stations"

    @property
    def species(self) -> Path:
        """Folder with a page per label, and nothing else."""
        return self.folder / "species"

    def station_page(self, study_area: str | None, location: str | None) -> Path:
        """The page about a station; either name is None where it has none."""
        return self.stations / f"{to_file_name(study_area, location)}.html"

    def species_page(self, label: str) -> Path:
        """The page about a species, or another sound."""
        return self.species / f"{to_file_name(label)}.html"

    @property
    def page_folders(self) -> tuple[Path, ...]:
        """Both of these folders."""
        return self.stations, self.species

    def list_pages(self) -> list[Path]:
        """Returns the pages about stations and species that are there."""
        return sorted(one for folder in self.page_folders for one in folder.glob("*.html"))

    @property
    def fingerprints(self) -> Path:
        """What both were made from (`stages/fingerprint_files.py`), as JSON."""
        return self.folder / "fingerprints.json"

    @property
    def summary(self) -> Path:
        """Folder of label_summary.csv and recording_summary.csv."""
        return self.folder / "aggregate_summary"
