"""The map of dates and hours: detections per hour analysed, with the lines of sunrise and sunset.

Hours are those of clocks at the station. `templates/date_hour.html` draws the map; colours are in
the style sheet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from badc_core.site.levels import N_LEVELS, SURE_S, Levels
from badc_core.site.sun_lines import SunPlace, find_sun_hours
from badc_core.units import counted, format_duration

N_HOURS = 24
HOUR_HEIGHT = 11
LEFT, RIGHT = 50, 985
_MOST_DAYS = 92
_MOST_COLUMNS = 120
_WIDEST = 34.0
_MOST_TICKS = 9
_MOST_TITLES = 600
"""With more cells each would be too small to point at, and the page too large."""

Counts = NDArray[np.float64]
"""Shape [columns, hours]."""


@dataclass(frozen=True)
class DateColumns:
    """The columns of a map: days, or spans of as many weeks as are needed."""

    first: date
    span_days: int
    n: int

    @classmethod
    def of(cls, first: date, last: date) -> "DateColumns":
        """Returns the columns from one day to another, both included."""
        n_days = (last - first).days + 1
        span_days = 1 if n_days <= _MOST_DAYS else 7 * -(-n_days // (7 * _MOST_COLUMNS))
        return cls(first, span_days, -(-n_days // span_days))

    def begin(self, column: int) -> date:
        """Returns the first day of a column."""
        return self.first + timedelta(days=column * self.span_days)

    def count(self, days: NDArray[Any], hours: NDArray[Any], amounts: NDArray[Any]) -> Counts:
        """Returns amounts of days and hours, summed up by column.

        Args:
            days: none before the first or after the last, as datetime64, shape [n].
            hours: 0 to 23, shape [n].
            amounts: shape [n].
        """
        days = days.astype("datetime64[D]", copy=False)
        since = (days - np.datetime64(self.first)).astype(np.int64)
        places = since // self.span_days * N_HOURS + hours
        found = np.bincount(places, amounts, self.n * N_HOURS).astype(np.float64)
        return found.reshape(self.n, N_HOURS)


class Layer(TypedDict):
    """Cells of one shade.

    Attributes:
        kind: its class: `l1` to `l5`; `l0` where something was analysed and nothing found; `idle`
            where nothing was.
        path: their outlines, as SVG.
        title: shown when pointed at.
    """

    kind: str
    path: str
    title: str


@dataclass(frozen=True)
class DateHourMap:
    """A map, in units of an SVG view box.

    Attributes:
        width: of a column.
        ticks: where a column begins, and its date.
        suns: name of a line, `sunrise` or `sunset`, and its path.
        place: name of the station that the lines are of; empty if there are none.
        has_suns_missing: whether on some days the sun neither rises nor sets.
        levels: detections per hour analysed.
    """

    columns: DateColumns
    width: float
    layers: tuple[Layer, ...]
    ticks: tuple[tuple[float, str], ...]
    suns: tuple[tuple[str, str], ...]
    place: str
    has_suns_missing: bool
    levels: Levels


def make_date_hour_map(
    columns: DateColumns, effort_s: Counts, detections: Counts, place: SunPlace | None
) -> DateHourMap:
    """Returns the map.

    Args:
        columns: its columns.
        effort_s: analysed in each column and hour.
        detections: found in it.
        place: whose sunrise and sunset are drawn.
    """
    rates = np.divide(detections * 3600, effort_s, out=np.zeros_like(effort_s), where=effort_s > 0)
    sure = rates[(effort_s >= SURE_S) & (rates > 0)]
    levels = Levels(float((sure if sure.size else rates).max(initial=0.0)))
    width = min((RIGHT - LEFT) / columns.n, _WIDEST)
    middles = [columns.begin(n) + timedelta(days=columns.span_days // 2) for n in range(columns.n)]
    hours = find_sun_hours(place, middles) if place else []
    return DateHourMap(
        columns=columns,
        width=width,
        layers=tuple(_layers(columns, effort_s, detections, rates, levels, width)),
        ticks=tuple(_ticks(columns, width)),
        suns=tuple(
            (name, " ".join(_line([one[n] for one in hours], width)))
            for n, name in enumerate(("sunrise", "sunset"))
            if hours
        ),
        place=place.station.name if place else "",
        has_suns_missing=any(None in one for one in hours),
        levels=levels,
    )


def _layers(
    columns: DateColumns,
    effort_s: Counts,
    detections: Counts,
    rates: Counts,
    levels: Levels,
    width: float,
) -> Iterator[Layer]:
    shades = np.where(effort_s > 0, levels.find(rates), -1)
    draw = _Cells(columns.n, width)
    yield Layer(kind="idle", path=draw.runs(shades == -1), title="Nothing analysed")
    yield Layer(kind="l0", path=draw.runs(shades == 0), title="Analysed, no detection")
    found = shades > 0
    if np.count_nonzero(found) > _MOST_TITLES:
        for level in range(1, N_LEVELS + 1):
            title = f"Up to {levels.write_limit(level)} detections per hour analysed"
            yield Layer(kind=f"l{level}", path=draw.runs(shades == level), title=title)
        return
    names = [_name_column(columns, n) for n in range(columns.n)]
    cells = (*np.nonzero(found), shades[found], detections[found].round(), effort_s[found])
    heard = {one: format_duration(one) for one in np.unique(cells[-1]).tolist()}
    for n, hour, level, n_found, heard_s in zip(*(one.tolist() for one in cells), strict=True):
        title = f"{names[n]}, {hour:02d}:00: {counted(int(n_found), 'detection')}"
        title += f" in {heard[heard_s]} analysed"
        yield Layer(kind=f"l{level}", path=draw.cell(n, hour, 1), title=title)


class _Cells:
    """The outlines of cells, as SVG.

    Args:
        n: columns.
        width: of one.
    """

    def __init__(self, n: int, width: float) -> None:
        wide = f"{max(width - 0.7, 0.8 * width):.1f}"
        self._begins = [f"M{LEFT + column * width:.1f} " for column in range(n)]
        self._ends = [f"h{wide}v{tall * HOUR_HEIGHT}h-{wide}z" for tall in range(N_HOURS + 1)]

    def cell(self, column: int, hour: int, n_hours: int) -> str:
        """Returns the outline of some hours of a column."""
        return f"{self._begins[column]}{hour * HOUR_HEIGHT}{self._ends[n_hours]}"

    def runs(self, chosen: NDArray[np.bool_]) -> str:
        """Returns the outlines of cells, those above one another as one."""
        steps = np.diff(chosen.astype(np.int8), axis=1, prepend=0, append=0)
        columns, firsts = np.nonzero(steps == 1)
        heights = np.nonzero(steps == -1)[1] - firsts
        runs = zip(columns.tolist(), firsts.tolist(), heights.tolist(), strict=True)
        return "".join(self.cell(*one) for one in runs)


def _name_column(columns: DateColumns, column: int) -> str:
    begin = columns.begin(column)
    week = "from " if columns.span_days > 1 else ""
    return f"{week}{begin.day} {begin:%b %Y}"


def _ticks(columns: DateColumns, width: float) -> Iterator[tuple[float, str]]:
    every = max(-(-columns.n // _MOST_TICKS), round(90 / width + 0.5))
    has_years = columns.begin(0).year != columns.begin(columns.n - 1).year
    for n in range(0, columns.n, every):
        begin = columns.begin(n)
        yield LEFT + n * width, f"{begin.day} {begin:%b}" + (f" {begin.year}" if has_years else "")


def _line(hours: Sequence[float | None], width: float) -> Iterator[str]:
    """Yields the lines through the hours of columns, broken where there are none, and at midnight.

    A line reaches from the first edge of its first column to the last of its last.
    """
    run: list[tuple[int, float]] = []
    for n, hour in enumerate([*hours, None]):
        if run and (hour is None or abs(hour - run[-1][1]) > N_HOURS / 2):
            first, last = run[0], run[-1]
            points = [(first[0] - 0.5, first[1]), *run, (last[0] + 0.5, last[1])]
            places = (
                f"{LEFT + (at + 0.5) * width:.1f} {one * HOUR_HEIGHT:.1f}" for at, one in points
            )
            yield "M" + "L".join(places)
            run = []
        if hour is not None:
            run.append((n, hour))
