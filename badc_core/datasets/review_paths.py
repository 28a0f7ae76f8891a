"""The files of a dataset that are made for, and from, checking detections by ear."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class QueuePaths:
    """The files of one queue of detections to be checked by ear."""

    folder: Path

    @property
    def table(self) -> Path:
        """The detections, with empty columns for verdicts."""
        return self.folder / "queue.csv"

    @property
    def description(self) -> Path:
        """How they were drawn, as JSON."""
        return self.folder / "queue.json"

    @property
    def page(self) -> Path:
        """The page on which they are judged."""
        return self.folder / "gallery.html"

    @property
    def clips(self) -> Path:
        """Folder of their sounds and pictures."""
        return self.folder / "clips"

    @property
    def cuts(self) -> Path:
        """What is known of them, as JSON."""
        return self.clips / "cuts.json"


@dataclass(frozen=True)
class ReviewPaths:
    """What is made for, and from, the checking of detections by ear, in the dataset at `root`."""

    root: Path

    @property
    def folder(self) -> Path:
        """Folder of everything that BADC makes."""
        return self.root / "artifacts" / "reviews"

    @property
    def verdict_files(self) -> Path:
        """Folder of people's verdicts, as CSV; BADC adds files, and changes none."""
        return self.root / "reviews"

    def queue(self, name: str) -> QueuePaths:
        """A queue."""
        return QueuePaths(self.folder / name)

    @property
    def verdicts(self) -> Path:
        """All verdicts about each detection together."""
        return self.folder / "verdicts.parquet"

    @property
    def precision(self) -> Path:
        """How many are right, by label and score."""
        return self.folder / "precision.csv"

    @property
    def calibration(self) -> Path:
        """From score to probability, for each label."""
        return self.folder / "calibration.csv"

    @property
    def thresholds(self) -> Path:
        """Recommended thresholds; none is in use."""
        return self.folder / "thresholds.csv"

    @property
    def applied(self) -> Path:
        """SHA-256 of the two tables beside the settings, as they were written."""
        return self.folder / "applied.json"

    @property
    def applied_thresholds(self) -> Path:
        """Thresholds that a person has decided to use, beside the settings."""
        return self.root / "thresholds.csv"

    @property
    def applied_calibration(self) -> Path:
        """The same of curves."""
        return self.root / "calibration.csv"
