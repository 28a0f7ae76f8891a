"""The positions of marks in charts, which `templates/charts.html` draws.

Positions are in the units of an SVG view box; colours are in the style sheet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_MAX_TICKS = 9
_MINUTE_S = 60
_DAY_S = 86400


@dataclass(frozen=True)
class Tick:
    """A labelled point of an axis.

    Attributes:
        x: 0 to 1.
        label: a time or number.
        sublabel: the date, if it differs from the tick before; else empty.
    """

    x: float
    label: str
    sublabel: str = ""


@dataclass(frozen=True)
class Mark:
    """A rectangle.

    Attributes:
        x, width: 0 to 1.
        weight: 0 to 1, shown as strength.
        title: shown when pointed at.
    """

    x: float
    width: float
    weight: float
    title: str


@dataclass(frozen=True)
class Row:
    """A line of marks with its name."""

    name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram for `n` things; `x`, `width` and `height` are 0 to 1."""

    x: float
    width: float
    height: float
    n: int
    title: str


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map; `weight` is None if nothing was analysed."""

    weight: float | None
    title: str


@dataclass(frozen=True)
class HeatMap:
    """A grid of cells.

    Attributes:
        columns: their names.
        rows: name and cells of each.
        dense: whether all column names are short enough to be shown.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    dense: bool = False


def time_ticks(
    duration_s: float,
    start: datetime | None,
    clock_after: Callable[[timedelta], datetime] | None = None,
) -> tuple[Tick, ...]:
    """Returns the ticks of a time axis, at round clock times if the clock is known.

    Args:
        duration_s: length of the axis, > 0.
        start: clock time at its left end; None counts from the recording's start.
        clock_after: returns the clock time so long after the start, where clocks are changed on
            the way; they then stand at times that would be round if they were not.
    """
    step_s = next((s for s in _TICK_STEPS_S if duration_s / s <= _MAX_TICKS), _DAY_S)
    day = start and start.replace(hour=0, minute=0, second=0, microsecond=0)
    since_midnight_s = (start - day).total_seconds() if start and day else 0.0
    first = -(-since_midnight_s // step_s) * step_s
    ticks: list[Tick] = []
    previous = start
    at_s = first
    while at_s - since_midnight_s <= duration_s:
        clock = day + timedelta(seconds=at_s) if day else None
        if clock and clock_after:
            clock = clock_after(timedelta(seconds=at_s - since_midnight_s))
        begins_day = clock and previous and (not ticks or clock.date() != previous.date())
        sublabel = f"{clock:%d %b}".lstrip("0") if clock and begins_day else ""
        label = _clock(clock, step_s) if clock else format_offset(at_s)
        ticks.append(Tick((at_s - since_midnight_s) / duration_s, label, sublabel))
        previous = clock
        at_s += step_s
    return tuple(ticks)


def format_offset(seconds: float) -> str:
    """Returns a time since the start as `0:07`, `12:30` or `1:02:05`."""
    minutes, rest_s = divmod(int(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    return f"{hours}:{rest_min:02d}:{rest_s:02d}" if hours else f"{rest_min}:{rest_s:02d}"


def score_bars(counts: Sequence[tuple[float, int]], width: float) -> tuple[Bar, ...]:
    """Returns the bars of a histogram of scores.

    Args:
        counts: lower edge of a bin -> detections in it.
        width: of a bin; the axis reaches from 0 to 1.
    """
    highest = max((n for _, n in counts), default=1)
    return tuple(
        Bar(edge, width, n / highest, n, f"{edge:.2f} to {min(1, edge + width):.2f}: {n}")
        for edge, n in counts
    )


def _clock(clock: datetime, step_s: float) -> str:
    return f"{clock:%H:%M:%S}" if step_s < _MINUTE_S else f"{clock:%H:%M}"
