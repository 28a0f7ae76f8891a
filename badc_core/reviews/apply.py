"""Putting recommended thresholds and curves beside the settings, where these can name them.

The settings themselves are a person's, and are never written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, OutputUnwritable
from badc_core.reviews.results import CALIBRATION, THRESHOLDS, ReviewResults, write_recommended


@dataclass(frozen=True)
class Applied:
    """Tables that were written beside the settings.

    Attributes:
        thresholds: label -> the score that is to be kept from.
        before: the same of the table that was replaced; empty where there was none.
        calibrated: labels that have a curve.
        files: that were written.
        settings: lines that `[detector]` in badc.toml must have for them to count.
    """

    thresholds: Mapping[str, float]
    before: Mapping[str, float]
    calibrated: Sequence[str]
    files: Sequence[Path]
    settings: Sequence[str]


def apply_results(dataset: Dataset, results: ReviewResults) -> Applied:
    """Writes the tables of thresholds and curves beside the settings.

    Raises:
        DatasetInvalid: no label has a threshold or a curve.
        OutputUnwritable: there is a table of somebody else's, or it cannot be written.
        StorageFull: the disk or a quota is full.
    """
    paths = dataset.reviews
    chosen = {one.label: one.recommendation.threshold for one in results.labels}
    thresholds = {label: score for label, score in chosen.items() if score is not None}
    calibrated = [one.label for one in results.labels if one.calibration.is_usable]
    if not thresholds and not calibrated:
        what = "no label has a threshold or a curve yet"
        raise DatasetInvalid(what, dataset.root, "See why: badc review results DATASET")
    before = _read_own(paths.applied_thresholds, THRESHOLDS)
    _read_own(paths.applied_calibration, CALIBRATION)
    files = write_recommended(results, paths.applied_calibration, paths.applied_thresholds)
    lines = []
    if thresholds:
        lines.append(f'thresholds_file = "{paths.applied_thresholds.name}"')
    if calibrated:
        lines.append(f'calibration_file = "{paths.applied_calibration.name}"')
    return Applied(thresholds, before, calibrated, files, lines)


def _read_own(path: Path, columns: Sequence[str]) -> dict[str, float]:
    """Returns label -> threshold of a table that was written here; empty if there is none.

    Raises:
        OutputUnwritable: it is somebody else's.
    """
    try:
        rows = [row for _, row in read_rows(path, columns)]
        return {row["label"]: float(row["threshold"]) for row in rows if row.get("threshold")}
    except FileNotFoundError:
        return {}
    except (TableInvalid, ValueError) as error:
        what = "is not from badc review apply, and is not replaced"
        raise OutputUnwritable(what, path, "Give it another name, in badc.toml too") from error
