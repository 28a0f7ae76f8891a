"""All verdicts of a dataset, and what they say together about each detection.

How a file of them is read is in `verdict_files.py`.
"""

import re
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
_NUMBERED = re.compile(r"(\d{4,})-")


@dataclass(frozen=True)
class Imported:
    """A file of verdicts that was added to a dataset.

    Attributes:
        path: where it is now.
        n_verdicts: in it.
        is_new: whether it was not there before.
        n_outdated: of its verdicts, those that do not count, since the same person said something
            else of the same detection later.
        corrected_labels: what it says that detections are instead.
    """

    path: Path
    n_verdicts: int
    is_new: bool
    n_outdated: int
    corrected_labels: tuple[str, ...]


def list_verdict_files(dataset: Dataset) -> list[Path]:
    """Returns the files of verdicts in a dataset, in the order in which they were imported."""
    paths = dataset.reviews.verdict_files.glob("*.csv")
    # Older versions gave no numbers, but x.csv, x-2.csv and so on to x-10.csv.
    return sorted(paths, key=lambda path: (_number(path), len(path.name), path.name))


def import_verdicts(dataset: Dataset, source: Path) -> Imported:
    """Copies a file of verdicts into a dataset; nothing is replaced.

    One that is there already is copied only if that changes what counts: it takes back a correction
    that was imported since.

    Raises:
        ConfigInvalid, ContentMissing: it, or a file that is there, cannot be read as one; or it has
            no verdict.
        StorageFull, OutputUnwritable: it cannot be copied.
    """
    verdicts = read_verdicts(source)
    if not verdicts:
        raise ConfigInvalid("no row has a verdict", source, "Fill in the column verdict")
    files = list_verdict_files(dataset)
    before = _pick_latest(one for path in files for one in read_verdicts(path))
    latest = _pick_latest([*before.values(), *verdicts])
    n_outdated = sum(_says_other(one, latest[_whose(one)]) for one in verdicts)
    corrected = tuple(sorted({one.corrected_label for one in verdicts if one.corrected_label}))
    content = source.read_bytes()
    known = [path for path in files if path.read_bytes() == content]
    changed = any(_says_other(one, before.get(key)) for key, one in latest.items())
    if known and not changed:
        return Imported(known[-1], len(verdicts), False, n_outdated, corrected)
    number = max(map(_number, files), default=0) + 1
    target = dataset.reviews.verdict_files / f"{number:04d}-{source.stem}.csv"
    with replacing(target) as aside:
        shutil.copyfile(source, aside)
    return Imported(target, len(verdicts), True, n_outdated, corrected)


def read_judged(dataset: Dataset) -> list[Judged]:
    """Returns the judged detections of a dataset, by label, recording and time.

    Raises:
        ConfigInvalid, ContentMissing: a file of verdicts cannot be read.
    """
    return judge(one for path in list_verdict_files(dataset) for one in read_verdicts(path))


def judge(verdicts: Iterable[Verdict]) -> list[Judged]:
    """Returns what verdicts say together, a detection each, by label, recording and time.

    Of one person the latest verdict counts, and the one that comes last where a time is not known
    or the same. Of several, what more of them say who are certain; as many for right as for wrong
    is a dispute.
    """
    groups: dict[_Key, list[Verdict]] = {}
    for (key, _), one in _pick_latest(verdicts).items():
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


def _whose(one: Verdict) -> tuple[_Key, str]:
    return _key(one), one.reviewer.casefold()


def _pick_latest(verdicts: Iterable[Verdict]) -> dict[tuple[_Key, str], Verdict]:
    """Returns detection and person -> the verdict that counts."""
    latest: dict[tuple[_Key, str], Verdict] = {}
    for one in verdicts:
        before = latest.get(_whose(one))
        if before is None or not one.reviewed_at or one.reviewed_at >= before.reviewed_at:
            latest[_whose(one)] = one
    return latest


def _says_other(one: Verdict, other: Verdict | None) -> bool:
    return other is None or (one.verdict, one.corrected_label) != (
        other.verdict,
        other.corrected_label,
    )


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


def _number(path: Path) -> int:
    found = _NUMBERED.match(path.name)
    return int(found[1]) if found else 0
