"""What all verdicts of a dataset say of its detector: precision, calibration and thresholds.

Nothing here changes what is kept of the detector's results; `apply.py` writes what does.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from badc_core.atomic import replacing, writing_text
from badc_core.columns import write_parquet
from badc_core.corpus.snapshot import Snapshot
from badc_core.csv_tables import write_rows
from badc_core.datasets.dataset import Dataset
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.registry import known_labels
from badc_core.errors import DetectorMissing
from badc_core.recordings.registry import read_registry
from badc_core.reviews.calibration import Calibration, calibrate
from badc_core.reviews.candidates import read_detectors
from badc_core.reviews.columns import JUDGED
from badc_core.reviews.judged import CORRECT, DISPUTED, INCORRECT, UNCERTAIN, Judged
from badc_core.reviews.precision import PrecisionRow, Proportion, precision_rows, weighted_precision
from badc_core.reviews.recommend import Recommendation, recommend
from badc_core.reviews.representation import (
    Sizes,
    count_unjudged,
    read_kept,
    read_sizes,
    weigh,
)
from badc_core.reviews.verdicts import read_judged

DEFAULT_PRECISION = 0.9
"""The precision that thresholds are for, unless somebody asks for another."""

_DIGITS = 4


@dataclass(frozen=True)
class LabelResult:
    """What verdicts say of one label.

    Attributes:
        judged: how many detections have verdicts.
        correct, incorrect: of those that people are certain of.
        uncertain: of which they are not.
        disputed: of which as many say right as wrong.
        precision: of the detections in those tenths of the scores in which any is judged; None if
            none is judged right or wrong.
        n_unjudged: detections in the other tenths, which the precision does not tell of.
        calibration: from score to probability.
        recommendation: the threshold for the wanted precision.
    """

    label: str
    judged: int
    correct: int
    incorrect: int
    uncertain: int
    disputed: int
    precision: Proportion | None
    n_unjudged: int
    calibration: Calibration
    recommendation: Recommendation

    @property
    def is_complete(self) -> bool:
        """Whether it has a threshold and a curve."""
        return self.recommendation.threshold is not None and self.calibration.is_usable


@dataclass(frozen=True)
class ReviewResults:
    """What the verdicts of a dataset say.

    Attributes:
        wanted: the precision that thresholds are for.
        judged: the detections of today's detector with verdicts, and what each represents.
        sizes: how many detections of each label there are, by score.
        labels: a result each.
        left_out: why -> how many detections with verdicts do not count.
    """

    wanted: float
    judged: Sequence[Judged]
    sizes: Sizes
    labels: Sequence[LabelResult]
    left_out: Mapping[str, int]


def summarize_reviews(dataset: Dataset, wanted: float) -> ReviewResults:
    """Returns what the verdicts of a dataset say of the detector that its results are from.

    Args:
        dataset: with its verdicts.
        wanted: the precision that thresholds are recommended for, 0 to 1.

    Raises:
        ConfigInvalid, ContentMissing: a file of verdicts cannot be read.
        DatasetInvalid, DetectionsInvalid: the dataset's results cannot.
    """
    with Snapshot(dataset) as snapshot:
        sorted_out = _sort_out(dataset, read_detectors(snapshot), read_judged(dataset))
        judged = read_kept(snapshot, sorted_out.pop("", []))
        sizes = read_sizes(snapshot, {one.label for one in judged})
    by_label: dict[str, list[Judged]] = {}
    for one in judged:
        by_label.setdefault(one.label, []).append(one)
    weighed = {label: weigh(some, sizes.get(label, {})) for label, some in by_label.items()}
    floor = dataset.settings.detector.floor
    labels = [
        _summarize(label, some, sizes.get(label, {}), (wanted, floor))
        for label, some in sorted(weighed.items())
    ]
    judged = [one for some in weighed.values() for one in some]
    left_out = {why: len(some) for why, some in sorted_out.items()}
    return ReviewResults(wanted, judged, sizes, labels, left_out)


def write_results(dataset: Dataset, results: ReviewResults) -> tuple[Path, ...]:
    """Writes the tables of results, and returns their paths.

    Raises:
        StorageFull, OutputUnwritable: they cannot be written.
    """
    paths = dataset.reviews
    recommended = write_recommended(results, paths.calibration, paths.thresholds)
    return (*write_verdicts(dataset, results), *recommended)


def write_verdicts(dataset: Dataset, results: ReviewResults) -> tuple[Path, ...]:
    """Writes each judged detection, and the precision by label and score."""
    paths = dataset.reviews
    rows = [asdict(one) for one in results.judged]
    with replacing(paths.verdicts) as aside:
        write_parquet(pa.Table.from_pylist(rows, JUDGED), aside)
    _write_csv(
        paths.precision,
        _PRECISION,
        map(_precision_cells, precision_rows(results.judged, results.sizes)),
    )
    return paths.verdicts, paths.precision


def write_recommended(
    results: ReviewResults, calibration: Path, thresholds: Path
) -> tuple[Path, ...]:
    """Writes curves and recommended thresholds to two files."""
    curves = (_calibration_cells(one.calibration) for one in results.labels)
    _write_csv(calibration, CALIBRATION, curves)
    rows = (_threshold_cells(one.recommendation) for one in results.labels)
    _write_csv(thresholds, THRESHOLDS, rows)
    return calibration, thresholds


THRESHOLDS = (
    *("label", "threshold", "wanted_precision", "precision", "precision_low", "precision_high"),
    *("verdicts_above", "verdicts", "reason"),
)
"""Columns of a table of recommended thresholds."""
_PRECISION = (
    *("label", "score_from", "score_to", "detections", "correct", "incorrect", "uncertain"),
    *("precision", "precision_low", "precision_high", "if_uncertain_wrong", "if_uncertain_right"),
)
CALIBRATION = (
    *("label", "intercept", "slope", "verdicts", "brier", "base_brier", "log_loss"),
    *("base_log_loss", "usable", "reason"),
)
"""Columns of a table of curves."""


def _threshold_cells(one: Recommendation) -> list[Any]:
    """Returns a row of a table of recommended thresholds."""
    precision = _rounded(one.precision)
    return [
        *(one.label, one.threshold, one.wanted, *precision, one.n_above, one.n, one.reason),
    ]


def _sort_out(
    dataset: Dataset, detectors: Collection[tuple[str, str]], everything: Iterable[Judged]
) -> dict[str, list[Judged]]:
    """Returns detections with verdicts by why they do not count; empty: they do."""
    registry = read_registry(dataset.registry)
    names = _known_names(dataset.settings.detector)

    def why_not(one: Judged) -> str:
        # A verdict that does not say of what counts as one on today's detector.
        if one.runner and (one.runner, one.model_version) not in detectors:
            return "of another detector or version"
        if one.recording_id not in registry:
            return "of a recording that this dataset does not have"
        if names is not None and one.label not in names:
            return "of a label that the detector does not have"
        return ""

    sorted_out: dict[str, list[Judged]] = {}
    for one in everything:
        sorted_out.setdefault(why_not(one), []).append(one)
    return sorted_out


def _known_names(settings: DetectorSettings) -> set[str] | None:
    """Returns what a detector's labels are called; None where it is not here to say."""
    with suppress(DetectorMissing):
        known = known_labels(settings)
        return None if known is None else {name for one in known for name in one.names}
    return None


def _summarize(
    label: str, judged: Sequence[Judged], sizes: Mapping[int, int], limits: tuple[float, float]
) -> LabelResult:
    said = Counter(one.verdict for one in judged)
    return LabelResult(
        label=label,
        judged=len(judged),
        correct=said[CORRECT],
        incorrect=said[INCORRECT],
        uncertain=said[UNCERTAIN],
        disputed=said[DISPUTED],
        precision=weighted_precision(one for one in judged if one.is_kept),
        n_unjudged=count_unjudged(judged, sizes),
        calibration=calibrate(label, judged),
        recommendation=recommend(label, judged, *limits),
    )


def _rounded(precision: Proportion | None) -> tuple[float | None, ...]:
    if precision is None:
        return (None, None, None)
    return tuple(round(one, _DIGITS) for one in precision)


def _precision_cells(row: PrecisionRow) -> list[Any]:
    shares = (*_rounded(row.precision), row.if_uncertain_wrong, row.if_uncertain_right)
    return [
        *(row.label, row.score_from, row.score_to, row.detections),
        *(row.correct, row.incorrect, row.uncertain),
        *(None if one is None else round(one, _DIGITS) for one in shares),
    ]


def _calibration_cells(one: Calibration) -> list[Any]:
    def rounded(number: float | None) -> float | None:
        return None if number is None else round(number, 6)

    held_out = asdict(one.held_out) if one.held_out else {}
    figures = (held_out.get(name) for name in ("brier", "base_brier", "log_loss", "base_log_loss"))
    return [
        *(one.label, rounded(one.intercept), rounded(one.slope), one.n, *map(rounded, figures)),
        *("yes" if one.is_usable else "no", one.reason),
    ]


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as aside, writing_text(aside) as file:
        write_rows(file, columns, rows)
