"""Putting recommended thresholds and curves beside the settings, where these can name them.

The settings themselves are a person's, and are never written.
"""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.atomic import write_text
from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, OutputUnwritable
from badc_core.hashing import sha256_file
from badc_core.json_texts import parse_object
from badc_core.reviews.results import THRESHOLDS, ReviewResults, write_recommended


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


def apply_results(dataset: Dataset, results: ReviewResults, *, overwrites: bool) -> Applied:
    """Writes the tables of thresholds and curves beside the settings.

    Args:
        dataset: whose.
        results: what its verdicts say.
        overwrites: whether tables that somebody changed are replaced as well.

    Raises:
        DatasetInvalid: no label has a threshold or a curve.
        ContentMissing: a table is annexed, and its content is not here.
        OutputUnwritable: somebody changed a table, or it cannot be written.
        StorageFull: the disk or a quota is full.
    """
    paths = dataset.reviews
    chosen = {one.label: one.recommendation.threshold for one in results.labels}
    thresholds = {label: score for label, score in chosen.items() if score is not None}
    calibrated = [one.label for one in results.labels if one.calibration.is_usable]
    if not thresholds and not calibrated:
        what = "no label has a threshold or a curve yet"
        words = ["badc", "review", "results", str(dataset.root), "--precision"]
        command = shlex.join([*words, f"{results.wanted:g}"])
        raise DatasetInvalid(what, dataset.root, f"See why: {command}")
    tables = paths.applied_thresholds, paths.applied_calibration
    if not overwrites:
        _require_own(dataset, tables, results.wanted)
    before = _read_thresholds(paths.applied_thresholds)
    write_recommended(results, paths.applied_calibration, paths.applied_thresholds)
    written = {one.name: sha256_file(one) for one in tables}
    write_text(paths.applied, json.dumps(written, indent=1) + "\n")
    lines = []
    if thresholds:
        lines.append(f'thresholds_file = "{paths.applied_thresholds.name}"')
    if calibrated:
        lines.append(f'calibration_file = "{paths.applied_calibration.name}"')
    return Applied(thresholds, before, calibrated, (*tables, paths.applied), lines)


def _require_own(dataset: Dataset, tables: Iterable[Path], wanted: float) -> None:
    """Returns if tables that are there are as they were written here."""
    known = {}
    require_fetched(dataset.reviews.applied)
    with suppress(FileNotFoundError, ValueError):
        known = parse_object(dataset.reviews.applied.read_bytes())
    for path in tables:
        require_fetched(path)
        if path.exists() and sha256_file(path) != known.get(path.name):
            what = "is not as badc review apply wrote it, and is not replaced"
            words = ["badc", "review", "apply", str(dataset.root), "--precision", f"{wanted:g}"]
            command = shlex.join([*words, "--overwrite"])
            remedy = f"Give it another name, in badc.toml too, or discard it with: {command}"
            raise OutputUnwritable(what, path, remedy)


def _read_thresholds(path: Path) -> dict[str, float]:
    """Returns label -> threshold of a table; empty if there is none that was written here."""
    with suppress(FileNotFoundError, TableInvalid, ValueError):
        rows = [row for _, row in read_rows(path, THRESHOLDS)]
        return {row["label"]: float(row["threshold"]) for row in rows if row.get("threshold")}
    return {}
