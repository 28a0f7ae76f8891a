"""Maps of stations, drawn from their coordinates alone; how they look is in `station_map.html`.

An equirectangular projection about the middle of each map: true to scale where stations are at most
some hundred kilometres apart. Groups of stations that are much further from each other than within
are drawn as maps of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

WIDTH_PX = 460.0
"""Of every map, so that letters are readable on a telephone too."""

_MIN_HEIGHT_PX, _MAX_HEIGHT_PX = 200.0, 420.0
_MARGIN_PX = 46.0
_LEAST_WIDTH_KM = 0.5
_KM_PER_DEGREE = 6371.0 * np.pi / 180
_SMALLEST_PX, _LARGEST_PX = 4.5, 13.0
_CAPITAL_PX, _LETTER_PX, _LINE_PX = 9.8, 7.4, 15.0
_BAR_PX = 120.0
_GAP = 4.0
_FAR = 1 / 6
_MAX_GROUPS = 3

_Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MapPlace:
    """A station to be drawn.

    Attributes:
        name: short, as written beside its dot.
        address: of its page; empty where it has none.
        title: what its dot says in words.
        latitude, longitude: in degrees; None where they are not known.
        weight: what dots are sized by, 0 or more, such as the seconds analysed.
        group: name of the study area.
    """

    name: str
    address: str
    title: str
    latitude: float | None
    longitude: float | None
    weight: float
    group: str = ""


@dataclass(frozen=True)
class Dot:
    """A place on a map, in pixels.

    Attributes:
        label: where its name begins and its baseline is; None where there is no room for it.
    """

    place: MapPlace
    x: float
    y: float
    radius: float
    label: tuple[float, float] | None


@dataclass(frozen=True)
class AreaMap:
    """A map of stations near each other.

    Attributes:
        title: their study areas, and where on Earth that is.
        bar_px, bar: length of the scale bar, and what it stands for.
    """

    title: str
    height_px: float
    dots: tuple[Dot, ...]
    bar_px: float
    bar: str


@dataclass(frozen=True)
class StationMap:
    """Maps of all places, and those that are on none."""

    areas: tuple[AreaMap, ...]
    unplaced: tuple[MapPlace, ...]

    @property
    def n_unnamed(self) -> int:
        """How many dots have no room for their name."""
        return sum(dot.label is None for area in self.areas for dot in area.dots)


def draw_map(places: Iterable[MapPlace]) -> StationMap | None:
    """Returns maps of places; None if no coordinates are known."""
    everything = tuple(places)
    placed = [one for one in everything if one.latitude is not None and one.longitude is not None]
    if not placed:
        return None
    degrees = np.array([(one.longitude, one.latitude) for one in placed])
    if np.ptp(degrees[:, 0]) > 180:  # noqa: PLR2004  (across the date line)
        degrees[:, 0] %= 360
    groups = _split(_to_km(degrees))
    most = max(one.weight for one in placed) or 1.0
    areas = [_draw_area([placed[n] for n in group], degrees[group], most) for group in groups]
    unplaced = (one for one in everything if one.latitude is None or one.longitude is None)
    return StationMap(tuple(areas), tuple(unplaced))


def _to_km(degrees: _Points) -> _Points:
    """Returns kilometres to the east and north of longitude and latitude 0, shape [n, 2]."""
    middle = np.radians((degrees[:, 1].min() + degrees[:, 1].max()) / 2)
    return degrees * _KM_PER_DEGREE * (np.cos(middle), 1.0)


def _split(points: _Points) -> list[list[int]]:
    """Returns groups of points that are far from each other, those in the north-west first.

    Points are joined by their shortest tree, which is cut where it leads much further than usual,
    and over a good part of the whole.
    """
    parents, lengths = _shortest_tree(points)
    usual = float(np.sort(lengths[1:])[(len(points) - 2) // 2]) if len(points) > 1 else 0.0
    is_far = (lengths > _GAP * usual) & (lengths > _FAR * float(np.hypot(*np.ptp(points, axis=0))))
    group_of = np.arange(len(points))
    for point, parent in parents:
        if not is_far[point]:
            group_of[point] = group_of[parent]
    groups = [np.flatnonzero(group_of == one).tolist() for one in np.unique(group_of)]
    return sorted(groups, key=lambda one: (-len(one), one[0]))


def _shortest_tree(points: _Points) -> tuple[list[tuple[int, int]], _Points]:
    """Returns the edges of the minimum spanning tree from point 0 on, and each one's length.

    Source: Prim, R. C. (1957), Shortest connection networks and some generalizations.
    """
    n = len(points)
    lengths, nearest = np.full(n, np.inf), np.zeros(n, int)
    is_in = np.zeros(n, bool)
    edges, at = [], 0
    for _ in range(n - 1):
        is_in[at] = True
        away = np.hypot(*(points - points[at]).T)
        closer = ~is_in & (away < lengths)
        lengths[closer], nearest[closer] = away[closer], at
        at = int(np.argmin(np.where(is_in, np.inf, lengths)))
        edges.append((at, int(nearest[at])))
    lengths[0] = 0.0
    return edges, lengths


def _draw_area(places: Sequence[MapPlace], degrees: _Points, most: float) -> AreaMap:
    points = _to_km(degrees)
    low, high = points.min(axis=0), points.max(axis=0)
    width_km, height_km = np.maximum(high - low, _LEAST_WIDTH_KM)
    inner_px = WIDTH_PX - 2 * _MARGIN_PX
    px_per_km = min(inner_px / width_km, (_MAX_HEIGHT_PX - 2 * _MARGIN_PX) / height_km)
    height_px = max(_MIN_HEIGHT_PX, float(np.ptp(points[:, 1])) * px_per_km + 2 * _MARGIN_PX)
    away_px = (points - (low + high) / 2) * px_per_km
    spots = [(WIDTH_PX / 2 + east, height_px / 2 - north) for east, north in away_px.tolist()]
    radii = [_radius(one.weight, most) for one in places]
    bar_km = _round_down(_BAR_PX / px_per_km)
    return AreaMap(
        title=_title(places, degrees),
        height_px=height_px,
        dots=_name_dots(places, spots, radii, height_px),
        bar_px=bar_km * px_per_km,
        bar=f"{bar_km:,.0f} km" if bar_km >= 1 else f"{bar_km * 1000:.0f} m",
    )


def _radius(weight: float, most: float) -> float:
    """Returns the radius of a dot whose area grows with its weight."""
    return float(_SMALLEST_PX + (_LARGEST_PX - _SMALLEST_PX) * np.sqrt(weight / most))


def _round_down(length: float) -> float:
    """Returns 1, 2 or 5 times a power of ten, at most so long."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(one for one in (1, 2, 5) if one * power <= length * (1 + 1e-9)) * power)


def _title(places: Sequence[MapPlace], degrees: _Points) -> str:
    """Returns the study areas, and the middle of the map in degrees."""
    longitude, latitude = (degrees.min(axis=0) + degrees.max(axis=0)) / 2
    longitude = (longitude + 180) % 360 - 180
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    where = f"{abs(latitude):.2f}° {north}, {abs(longitude):.2f}° {east}"
    groups = list(dict.fromkeys(one.group for one in places if one.group))
    more = " …" if len(groups) > _MAX_GROUPS else ""
    return f"{', '.join(groups[:_MAX_GROUPS])}{more} ({where})" if groups else where


_Box = tuple[float, float, float, float]


def _name_dots(
    places: Sequence[MapPlace],
    spots: Sequence[tuple[float, float]],
    radii: Sequence[float],
    height_px: float,
) -> tuple[Dot, ...]:
    """Returns dots with their names where these fit, those with most weight first."""
    frame = (2.0, 18.0, WIDTH_PX - 2, height_px - 24)
    circles = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(spots, radii, strict=True)]
    taken = list(circles)
    labels: dict[int, tuple[float, float]] = {}
    for n in sorted(range(len(places)), key=lambda n: -places[n].weight):
        width = sum(_CAPITAL_PX if one.isupper() else _LETTER_PX for one in places[n].name)
        for x, y in _around(*spots[n], radii[n], width):
            box = (x, y - _LINE_PX + 3, x + width, y + 3)
            others = (one for at, one in enumerate(taken) if at != n)
            if _is_inside(box, frame) and not any(_overlaps(box, one) for one in others):
                taken.append(box)
                labels[n] = (x, y)
                break
    return tuple(Dot(place, *spots[n], radii[n], labels.get(n)) for n, place in enumerate(places))


def _around(x: float, y: float, radius: float, width: float) -> list[tuple[float, float]]:
    """Returns where a name of some width may begin: right of its dot, left, above or below it."""
    across = (x + radius + 4, x - radius - 4 - width)
    beside = product((y + 4,), across)
    stacked = product((y - radius - 5, y + radius + 14), (x - width / 2, *across))
    return [(left, baseline) for baseline, left in (*beside, *stacked)]


def _is_inside(box: _Box, frame: _Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlaps(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
