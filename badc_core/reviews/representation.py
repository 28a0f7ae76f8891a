"""How many detections of today's results each judged one represents.

Several queues draw from different detections, so their sampling weights cannot be added. Judged
detections are put into tenths of the scores instead, and those of a tenth represent all detections
of the label in it: post-stratification.

Source: W. G. Cochran (1977), Sampling Techniques, section 5A.9.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from badc_core.corpus.snapshot import Snapshot
from badc_core.reviews.judged import Judged
from badc_core.reviews.precision import score_bin
from badc_core.reviews.sampling import STRATEGIES

Sizes = Mapping[str, Mapping[int, int]]
"""Label -> score bin -> how many detections the results have in it; bins without any are not in."""

_SIZES = f"""
    SELECT label, {STRATEGIES["bins"]}::BIGINT AS bin, count(*) AS size
    FROM real_detections WHERE list_contains(?::VARCHAR[], label) GROUP BY ALL
"""  # noqa: S608
_KEPT = """
    WITH judged AS (
        SELECT unnest(?::BIGINT[]) AS number, unnest(?::VARCHAR[]) AS recording_id,
            unnest(?::VARCHAR[]) AS label, unnest(?::BIGINT[]) AS start_ms,
            unnest(?::BIGINT[]) AS end_ms
    )
    SELECT DISTINCT number FROM judged j JOIN real_detections d USING (recording_id, label)
    WHERE j.start_ms < d.absolute_end_ms AND d.absolute_time_ms < j.end_ms
"""


def read_sizes(snapshot: Snapshot, labels: Collection[str]) -> Sizes:
    """Returns how many detections of some labels there are, by score."""
    sizes: dict[str, dict[int, int]] = {}
    for label, number, size in map(dict.values, snapshot.read(_SIZES, [*labels]).to_pylist()):
        sizes.setdefault(label, {})[number] = size
    return sizes


def read_kept(snapshot: Snapshot, judged: Sequence[Judged]) -> list[Judged]:
    """Returns judged detections with `is_kept`: one of the same label that overlaps is there."""
    if not judged:
        return []
    places = [(n, *_place(one)) for n, one in enumerate(judged)]
    rows = snapshot.read(_KEPT, *map(list, zip(*places, strict=True))).to_pylist()
    kept = {one["number"] for one in rows}
    return [replace(one, is_kept=n in kept) for n, one in enumerate(judged)]


def weigh(judged: Sequence[Judged], sizes: Mapping[int, int]) -> list[Judged]:
    """Returns judged detections with the number that each represents.

    In a score bin that is the number of detections over that of those judged right or wrong. What
    the results do not have, because of a threshold, keeps the weight that it was drawn with: else
    no threshold could be lowered again.

    Args:
        judged: of one label.
        sizes: score bin -> detections of the label in the results.
    """
    counting = [score_bin(one.score) for one in judged if one.is_decided and one.is_kept]
    numbers = Counter(counting)

    def weight(one: Judged) -> float | None:
        if not one.is_decided:
            return None
        if not one.is_kept:
            return one.weight
        number = score_bin(one.score)
        return sizes.get(number, 0) / numbers[number] or None

    return [replace(one, weight=weight(one)) for one in judged]


def count_unjudged(judged: Sequence[Judged], sizes: Mapping[int, int]) -> int:
    """Returns how many detections are in score bins that no judged one represents."""
    reached = {score_bin(one.score) for one in judged if one.is_decided and one.is_kept}
    return sum(size for number, size in sizes.items() if number not in reached)


def _place(one: Judged) -> tuple[str, str, int, int]:
    return one.recording_id, one.label, one.start_ms, one.end_ms
