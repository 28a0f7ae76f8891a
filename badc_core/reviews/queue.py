"""A queue of detections to be checked by ear: drawn, written down, and given sounds and a page.

How detections are drawn is in `sampling.py`, the page in `gallery.py`.
"""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from badc_core.atomic import replacing, write_text, writing_text
from badc_core.corpus.snapshot import Snapshot
from badc_core.csv_tables import TableInvalid, read_rows, write_rows
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.review_paths import QueuePaths
from badc_core.errors import DatasetInvalid, OptionInvalid
from badc_core.file_names import require_name, to_ascii
from badc_core.hashing import digest_json
from badc_core.json_texts import parse_object
from badc_core.reviews.candidates import (
    Choice,
    Spans,
    read_detections_of,
    read_groups,
    read_labels,
)
from badc_core.reviews.columns import REVIEW_NAMES
from badc_core.reviews.cuts import Cuts, cut_out
from badc_core.reviews.gallery import write_gallery
from badc_core.reviews.sampling import Sampling, draw
from badc_core.reviews.verdicts import judged_spans, read_judged

SCHEMA_VERSION = 1

_NUMBERS = ("start_s", "end_s", "score", "sampling_weight")
_LONGEST_PART = 40


@dataclass(frozen=True)
class QueueOrder:
    """What a queue is to have.

    Attributes:
        sampling: how detections are drawn.
        choice: from which.
        padding_s: sound before and after each.
        ask_again: whether those that people were not certain of are drawn too.
    """

    sampling: Sampling = field(default_factory=Sampling)
    choice: Choice = field(default_factory=Choice)
    padding_s: float = 1.0
    ask_again: bool = False


@dataclass(frozen=True)
class Queue:
    """A queue that was drawn.

    Attributes:
        name: of its folder.
        paths: its files.
        rows: a detection each, as its table has them.
        population: label -> how many detections could have been drawn.
        padding_s: sound before and after each.
    """

    name: str
    paths: QueuePaths
    rows: Sequence[Mapping[str, Any]]
    population: Mapping[str, int]
    padding_s: float

    @property
    def digest(self) -> str:
        """What tells it from every other queue."""
        return digest_json([one["detection_id"] for one in self.rows])


def list_queues(dataset: Dataset) -> list[str]:
    """Returns the names of a dataset's queues, in order."""
    found = dataset.reviews.folder.glob("*/queue.json")
    return sorted((one.parent.name for one in found), key=lambda name: (len(name), name))


def next_name(dataset: Dataset) -> str:
    """Returns a name that no queue has."""
    taken = set(list_queues(dataset))
    return next(one for number in range(1, 10**9) if (one := f"queue-{number}") not in taken)


def newest_queue(dataset: Dataset) -> str:
    """Returns the name of the queue that was drawn last.

    Raises:
        DatasetInvalid: there is none.
    """
    names = list_queues(dataset)
    if not names:
        remedy = f"Draw one: {_command(dataset)}"
        raise DatasetInvalid("there is no queue yet", dataset.reviews.folder, remedy)
    drawn = {one: dataset.reviews.queue(one).description.lstat().st_mtime_ns for one in names}
    return max(names, key=drawn.__getitem__)


def draw_queue(dataset: Dataset, name: str, order: QueueOrder) -> Queue:
    """Returns a new queue, which is written down; the same detections and order give the same.

    Raises:
        OptionInvalid: there is a queue of this name, or it cannot name a folder; or a species or
            station is not there.
        ConfigInvalid: a file of verdicts is wrong.
        DatasetInvalid: there is nothing to be drawn.
    """
    _require_free(dataset, name)
    judged = judged_spans(read_judged(dataset), with_uncertain=not order.ask_again)
    with Snapshot(dataset) as snapshot:
        rows, population = _draw_labels(snapshot, order, judged)
    if not rows:
        what = "every detection has a verdict" if judged else "there are no detections"
        raise DatasetInvalid(f"nothing to review: {what}", dataset.root)
    queue = Queue(name, dataset.reviews.queue(name), rows, population, order.padding_s)
    _write(queue, dataset, order)
    return queue


def read_queue(dataset: Dataset, name: str) -> Queue:
    """Returns a queue that was drawn before.

    Raises:
        DatasetInvalid: there is none of this name, or a file of it cannot be read.
    """
    paths = dataset.reviews.queue(name)
    remedy = f"Delete its folder, and draw another: {_command(dataset)}"
    try:
        description = parse_object(paths.description.read_text(encoding="utf-8"))
        rows = [_typed(row) for _, row in read_rows(paths.table, REVIEW_NAMES)]
        return Queue(name, paths, rows, description["population"], description["padding_s"])
    except FileNotFoundError as error:
        known = ", ".join(list_queues(dataset)) or "none"
        raise DatasetInvalid("no queue of this name", name, f"There are: {known}") from error
    except (OSError, ValueError, KeyError, TableInvalid) as error:
        raise DatasetInvalid(f"not a queue ({error})", paths.folder, remedy) from error


def add_sounds(dataset: Dataset, queue: Queue) -> Cuts:
    """Writes the sounds and pictures of a queue, and the page on which it is judged.

    Raises:
        ContentMissing, PackageMissing, StorageFull, OutputUnwritable: as `cut_out` does.
    """
    cuts = cut_out(dataset, queue.paths, queue.rows, queue.padding_s)
    write_gallery(dataset, queue.paths, queue.name, queue.digest, queue.rows, cuts.made)
    return cuts


def _draw_labels(
    snapshot: Snapshot, order: QueueOrder, judged: Spans
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    labels = read_labels(snapshot, order.choice)
    groups = read_groups(snapshot, labels, (order.choice, order.sampling), judged)
    drawn = [
        (label, one) for label, some in groups.items() for one in draw(some, order.sampling, label)
    ]
    found = read_detections_of(snapshot, [(label, one.candidate) for label, one in drawn])
    rows = [_row(found[label, one.candidate], one.weight) for label, one in drawn]
    return rows, {label: sum(one.size for one in some) for label, some in groups.items()}


def _row(found: Mapping[str, Any], weight: float | None) -> dict[str, Any]:
    name = _file_name(found)
    row = {name: found.get(name) for name in REVIEW_NAMES}
    return row | {
        "start_s": found["absolute_time_ms"] / 1000,
        "end_s": found["absolute_end_ms"] / 1000,
        "score": found["confidence"],
        "clip": f"clips/{name}.flac",
        "picture": f"clips/{name}.png",
        "sampling_weight": None if weight is None else round(weight, 6),
    }


def _file_name(found: Mapping[str, Any]) -> str:
    """Returns score, label, station, local time and offset, and what makes it the only one."""
    local_time = re.sub(r"[-:]|\.[0-9]+", "", found["local_time"] or "no-clock")
    parts = (
        f"{found['confidence']:.3f}",
        to_ascii(found["label"], _LONGEST_PART),
        to_ascii(found["location"] or "no-station", _LONGEST_PART),
        to_ascii(local_time, _LONGEST_PART),
        f"{found['absolute_time_ms'] / 1000:.1f}s",
        found["detection_id"][:8],
    )
    return "_".join(parts)


def _require_free(dataset: Dataset, name: str) -> None:
    try:
        require_name(name)
    except ValueError as error:
        raise OptionInvalid(str(error), "--name") from error
    if dataset.reviews.queue(name).description.exists():
        raise OptionInvalid(f"there is a queue {name} already: choose another name", "--name")


def _write(queue: Queue, dataset: Dataset, order: QueueOrder) -> None:
    rows: Collection[Mapping[str, Any]] = queue.rows
    with replacing(queue.paths.table) as aside, writing_text(aside) as file:
        write_rows(file, REVIEW_NAMES, ([row[one] for one in REVIEW_NAMES] for row in rows))
    description = {
        "schema": SCHEMA_VERSION,
        "name": queue.name,
        "dataset": dataset.name,
        **asdict(order),
        "population": dict(queue.population),
    }
    text = json.dumps(description, indent=1, ensure_ascii=False)
    write_text(queue.paths.description, text + "\n")


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {name: text or None for name, text in row.items()}
    return typed | {name: float(row[name]) if row[name] else None for name in _NUMBERS}


def _command(dataset: Dataset) -> str:
    return shlex.join(["badc", "review", "queue", str(dataset.root)])
