"""Progress where nobody looks on: a line now and then, and one at the end of each stage."""

import pytest

from badc_core.cli.output import Output
from badc_core.cli.progress import ShownProgress, shown_detecting
from badc_core.telemetry.progress import watcher


class Clock:
    """A clock that tests set."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_line_comes_at_most_every_thirty_seconds_and_at_each_end(clock, capsys):
    with ShownProgress(Output(), clock) as shown:
        stage = shown.stage("detections", 2, 3600.0)
        for _ in range(60):
            clock.now_s += 1
            stage.analysed(30.0)
        stage = shown.stage("report_bundle", 1, None)
        stage.analysed(5.0)
        stage.ended()
    assert capsys.readouterr().err.splitlines() == [
        "detections: 15 min 00 s of 1 h 00 min, 30x real time, about 1 min 30 s left",
        "detections: 30 min 00 s of 1 h 00 min, 30x real time, about 1 min 00 s left",
        "detections: 30 min 00 s of 1 h 00 min, 30x real time, in 1 min 00 s",
        "report_bundle: 1 of 1 recording, in 0.00 s",
    ]


def test_nothing_is_on_standard_output_and_quiet_shows_nothing(clock, capsys):
    for out in (Output(as_json=True), Output(quiet=True)):
        with ShownProgress(out, clock) as shown:
            shown.stage("recording", 1, None).ended()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("recording: 1 of 1 recording") == 1


def test_detecting_is_watched_in_its_block(capsys):
    with shown_detecting(60.0, Output()):
        watcher().analysed(60.0)
    assert capsys.readouterr().err.startswith("detecting: 1 min 00 s of 1 min 00 s")
