"""All verdicts of a dataset, and what they say together about each detection.

How a file of them is read is in `verdict_files.py`.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.atomic import replacing
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid
from badc_core.intervals import Interval
from badc_core.reviews.candidates import Spans
from badc_core.reviews.judged import CORRECT, DISPUTED, INCORRECT, UNCERTAIN, Judged
from badc_core.reviews.verdict_files import Verdict, read_verdicts

_Key = tuple[str, str, int, int, str, str]


@dataclass(frozen=True)
class Imported:
    """A file of verdicts that was added to a dataset.

    Attributes:
        path: where it is now.
        n_verdicts: in it.
        is_new: whether it was not there before.
    """

    path: Path
    n_verdicts: int
    is_new: bool


def list_verdict_files(dataset: Dataset) -> list[Path]:
    """Returns the files of verdicts in a dataset, corrections after what they correct."""
    # Of one name, `_free_name` makes x.csv, x-2.csv and so on to x-10.csv.
    paths = dataset.reviews.verdict_files.glob("*.csv")
    return sorted(paths, key=lambda path: (len(path.name), path.name))


def import_verdicts(dataset: Dataset, source: Path) -> Imported:
    """Copies a file of verdicts into a dataset, unless it is there; nothing is replaced.

    Raises:
        ConfigInvalid, ContentMissing: it cannot be read as one, or has no verdict.
        StorageFull, OutputUnwritable: it cannot be copied.
    """
    n_verdicts = len(read_verdicts(source))
    if not n_verdicts:
        raise ConfigInvalid("no row has a verdict", source, "Fill in the column verdict")
    content = source.read_bytes()
    for path in list_verdict_files(dataset):
        if path.exists() and path.read_bytes() == content:
            return Imported(path, n_verdicts, is_new=False)
    target = _free_name(dataset.reviews.verdict_files, source.stem)
    with replacing(target) as aside:
        shutil.copyfile(source, aside)
    return Imported(target, n_verdicts, is_new=True)


def read_judged(dataset: Dataset) -> list[Judged]:
    """Returns the judged detections of a dataset, by label, recording and time.

    Raises:
        ConfigInvalid, ContentMissing: a file of verdicts cannot be read.
    """
    return judge(one for path in list_verdict_files(dataset) for one in read_verdicts(path))


def judge(verdicts: Iterable[Verdict]) -> list[Judged]:
    """Returns what verdicts say together, a detection each, by label, recording and time.

    Of one person the latest verdict counts; of equally late ones, the one that comes last. Of
    several, what more of them say who are certain; as many for right as for wrong is a dispute.
    """
    latest: dict[tuple[_Key, str], Verdict] = {}
    for one in verdicts:
        whose = _key(one), one.reviewer.casefold()
        if whose not in latest or one.reviewed_at >= latest[whose].reviewed_at:
            latest[whose] = one
    groups: dict[_Key, list[Verdict]] = {}
    for (key, _), one in latest.items():
        groups.setdefault(key, []).append(one)
    judged = [_unite(group) for group in groups.values()]
    return sorted(judged, key=lambda one: (one.label, one.recording_id, one.start_ms, one.end_ms))


def judged_spans(judged: Iterable[Judged], *, with_uncertain: bool) -> Spans:
    """Returns where detections were judged, which need not be judged again.

    Args:
        judged: all.
        with_uncertain: whether what is uncertain or disputed counts as judged.
    """
    spans: dict[tuple[str, str], list[Interval]] = {}
    for one in judged:
        if one.is_decided or with_uncertain:
            key = one.recording_id, one.label
            spans.setdefault(key, []).append((one.start_ms, one.end_ms))
    return spans


def _key(one: Verdict) -> _Key:
    start_ms, end_ms = round(one.start_s * 1000), round(one.end_s * 1000)
    return one.recording_id, one.label, start_ms, end_ms, one.runner, one.model_version


def _unite(group: Sequence[Verdict]) -> Judged:
    said = Counter(one.verdict for one in group)
    if said[CORRECT] != said[INCORRECT]:
        verdict = CORRECT if said[CORRECT] > said[INCORRECT] else INCORRECT
    else:
        verdict = DISPUTED if said[CORRECT] else UNCERTAIN
    others = Counter(one.corrected_label for one in group if one.corrected_label)
    is_named = verdict == INCORRECT and bool(others)
    first = group[0]
    recording_id, label, start_ms, end_ms, runner, model_version = _key(first)
    return Judged(
        detection_id=first.detection_id,
        recording_id=recording_id,
        label=label,
        start_ms=start_ms,
        end_ms=end_ms,
        score=first.score,
        weight=next((one.sampling_weight for one in group if one.sampling_weight), None),
        verdict=verdict,
        corrected_label=others.most_common(1)[0][0] if is_named else "",
        reviewers=len(group),
        runner=runner,
        model_version=model_version,
    )


def _free_name(folder: Path, stem: str) -> Path:
    names = (f"{stem}.csv", *(f"{stem}-{number}.csv" for number in range(2, 100_000)))
    return next(folder / one for one in names if not (folder / one).exists())
