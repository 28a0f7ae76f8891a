"""Where stations are drawn on a map."""

import math

import pytest

from badc_core.site.station_map import WIDTH_PX, MapPlace, draw_map

ALBERTA = [("A", 54.90, -115.40), ("B", 54.85, -115.40), ("C", 54.85, -115.30)]
TROMSO = [("X", 69.65, 18.95), ("Y", 69.66, 18.97)]


def place(name, latitude, longitude, weight=1.0):
    return MapPlace(name, f"{name}.html", name, latitude, longitude, weight)


def draw(*places):
    found = draw_map(place(*one) for one in places)
    assert found is not None
    return found


def dots(area):
    return {dot.place.name: dot for dot in area.dots}


def test_north_is_up_east_is_right_and_distances_are_true():
    (area,) = draw(*ALBERTA).areas
    found = dots(area)
    north_px = found["B"].y - found["A"].y
    east_px = found["C"].x - found["B"].x
    assert found["A"].x == pytest.approx(found["B"].x)
    assert north_px > 0
    # 0.05 degrees of latitude are 5.56 km; of longitude, at 54.875 degrees, 0.1 are 6.4 km.
    assert east_px / north_px == pytest.approx(2 * math.cos(math.radians(54.875)), rel=1e-3)
    km = float(area.bar.removesuffix(" km"))
    assert area.bar_px / km == pytest.approx(north_px / 5.560, rel=1e-3)
    assert km in (1, 2, 5, 10)


def test_study_areas_far_apart_are_maps_of_their_own():
    near, far = draw(*ALBERTA, *TROMSO).areas
    assert (set(dots(near)), set(dots(far))) == ({"A", "B", "C"}, {"X", "Y"})
    assert near.title == "54.88° N, 115.35° W"
    assert far.title.endswith("° E")
    # A row of stations, evenly apart, is one map however long it is.
    row = [(f"R{n}", 50.0, -120.0 + 3 * n) for n in range(6)]
    assert len(draw(*row).areas) == 1


def test_the_date_line_is_no_edge_of_the_world():
    (area,) = draw(("W", -16.80, 179.98), ("E", -16.80, -179.98)).areas
    found = dots(area)
    assert found["W"].x < found["E"].x
    assert area.bar in ("1 km", "500 m")


def test_a_single_station_and_two_at_one_spot_have_a_map_too():
    assert draw(ALBERTA[0]).areas[0].dots[0].x == pytest.approx(WIDTH_PX / 2)
    (area,) = draw(ALBERTA[0], ("A2", *ALBERTA[0][1:])).areas
    assert len(area.dots) == 2
    assert area.bar.endswith(" m")


def test_stations_without_coordinates_are_named_and_without_any_there_is_no_map():
    found = draw(*ALBERTA, ("N", None, None))
    assert [one.name for one in found.unplaced] == ["N"]
    assert draw_map([place("N", None, None)]) is None


def test_names_overlap_neither_each_other_nor_dots():
    crowd = [
        (f"Station {n}", 54 + (n * 37 % 50) / 500, -115 + (n * 17 % 50) / 300) for n in range(50)
    ]
    found = draw(*crowd)
    (area,) = found.areas
    boxes = [
        (x, y - 12, x + 7.4 * len(dot.place.name), y + 3)
        for dot in area.dots
        if dot.label
        for x, y in [dot.label]
    ]
    assert len(boxes) + found.n_unnamed == 50
    assert len(boxes) > 15
    for n, one in enumerate(boxes):
        assert 0 <= one[0] < one[2] <= WIDTH_PX
        for other in boxes[:n]:
            assert (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            )


def test_dots_grow_with_their_weight():
    found = dots(draw(("big", 54.0, -115.0, 4.0), ("small", 54.1, -115.0, 0.0)).areas[0])
    assert found["big"].radius > 2 * found["small"].radius > 0


def test_a_name_in_capitals_ends_before_the_dot_on_its_right():
    name = "POND EAST"
    east = dots(draw(("FOREST", 51.15, -114.30), (name, 51.05, -114.07)).areas[0])[name]
    assert east.label is not None
    assert east.label[0] + 8.6 * len(name) <= east.x - east.radius
