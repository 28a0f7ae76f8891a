"""Half-open intervals of whole numbers, such as samples of a recording."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int]


def unite(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Returns what any of some intervals covers: in order, apart from each other."""
    united: list[Interval] = []
    for start, end in sorted(intervals):
        if united and start <= united[-1][1]:
            united[-1] = united[-1][0], max(united[-1][1], end)
        elif start < end:
            united.append((start, end))
    return tuple(united)


def subtract(intervals: Iterable[Interval], others: Iterable[Interval]) -> tuple[Interval, ...]:
    """Returns what some intervals cover and others do not: in order, apart from each other."""
    left: list[Interval] = []
    united = unite(others)
    for start, end in unite(intervals):
        place = start
        for other_start, other_end in united:
            if other_end <= place or other_start >= end:
                continue
            if place < other_start:
                left.append((place, other_start))
            place = other_end
        if place < end:
            left.append((place, end))
    return tuple(left)


def intersect(some: Iterable[Interval], others: Iterable[Interval]) -> tuple[Interval, ...]:
    """Returns what both cover: in order, apart from each other."""
    here, there = unite(some), unite(others)
    shared: list[Interval] = []
    i = j = 0
    while i < len(here) and j < len(there):
        start, end = max(here[i][0], there[j][0]), min(here[i][1], there[j][1])
        if start < end:
            shared.append((start, end))
        if here[i][1] < there[j][1]:
            i += 1
        else:
            j += 1
    return tuple(shared)


def clip(intervals: Sequence[Interval], start: int, end: int) -> tuple[Interval, ...]:
    """Returns what of a range some intervals cover, at a cost that hardly grows with their number.

    Args:
        intervals: in order, apart from each other, as `unite` returns them.
        start: of the range.
        end: of the range, > start.
    """
    first = bisect_right(intervals, start, key=lambda one: one[1])
    last = bisect_left(intervals, end, key=lambda one: one[0])
    return tuple((max(start, begun), min(end, ended)) for begun, ended in intervals[first:last])


def length_of(intervals: Iterable[Interval]) -> int:
    """Returns how much some intervals cover, however they overlap."""
    return sum(end - start for start, end in unite(intervals))
