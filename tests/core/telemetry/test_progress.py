"""What a step's log says of how far it is."""

from badc_core.telemetry.progress import Pace


def test_a_line_a_minute_says_how_much_how_fast_and_how_long_still() -> None:
    now_s = 1000.0
    told: list[str] = []
    pace = Pace(7200.0, told.append, lambda: now_s)
    for _ in range(12):
        now_s += 10.0
        pace.analysed(300.0)
    assert told == [
        "30 min 00 s of 2 h 00 min analysed, 30 x real time, about 3 min 00 s to go",
        "1 h 00 min of 2 h 00 min analysed, 30 x real time, about 2 min 00 s to go",
    ]


def test_more_than_was_expected_leaves_nothing_to_go() -> None:
    now_s = 0.0
    told: list[str] = []
    pace = Pace(10.0, told.append, lambda: now_s)
    now_s = 61.0
    pace.analysed(20.0)
    assert told[0].endswith("about 0.00 s to go")
