"""Progress of a whole run: bars on a terminal, else a line now and then and one at the end."""

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


def work_through_two_batches(shown, clock):
    """Two batches of 20 min of sound a recording: of two recordings, then of four."""
    for n_recordings, n_later in ((2, 4), (4, 0)):
        detections = shown.stage("detections", n_recordings, n_recordings * 1200.0, n_later)
        for _ in range(n_recordings * 10):
            clock.now_s += 2
            detections.analysed(120.0)
        report = shown.stage("report_bundle", n_recordings, None, n_later)
        for _ in range(n_recordings):
            clock.now_s += 1
            report.analysed(5.0)
            report.ended()


def test_lines_are_of_the_whole_run_and_come_at_most_every_thirty_seconds(clock, capsys):
    with ShownProgress(Output(), clock) as shown:
        work_through_two_batches(shown, clock)
    assert capsys.readouterr().err.splitlines() == [
        "detections: 30 min 00 s of 2 h 00 min of sound, about 1 min 30 s left",
        "detections: 58 min 00 s of 2 h 00 min of sound, about 1 min 06 s left",
        "detections: 1 h 28 min of 2 h 00 min of sound, about 36.0 s left",
        "detections: 1 h 58 min of 2 h 00 min of sound, about 6.0 s left",
        "detections: 2 h 00 min of 2 h 00 min of sound. Everything took 2 min 06 s.",
    ]


def test_waiting_for_the_first_sound_is_no_pace(clock, capsys):
    with ShownProgress(Output(), clock) as shown:
        detections = shown.stage("detections", 3, 180.0)
        for waited_s in (1000, 30):
            clock.now_s += waited_s
            detections.analysed(60.0)
    assert capsys.readouterr().err.splitlines()[:2] == [
        "detections: 1 min 00 s of 3 min 00 s of sound",
        "detections: 2 min 00 s of 3 min 00 s of sound, about 30.0 s left",
    ]


def test_a_run_without_a_detector_ends_with_its_last_stage(clock, capsys):
    with ShownProgress(Output(), clock) as shown:
        shown.stage("recording", 1, None).ended()
        shown.stage("report_bundle", 1, None, 1).ended()
    assert capsys.readouterr().err == "report_bundle: 1 of 2 recordings. Everything took 0.00 s.\n"


def test_a_terminal_has_a_bar_for_each_stage_over_the_whole_run(clock, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with ShownProgress(Output(), clock) as shown:
        work_through_two_batches(shown, clock)
    last = capsys.readouterr().err.split("\x1b[2K")[-1]
    assert last.count("2 h 00 min of 2 h 00 min of sound") == 1
    assert last.count("6 of 6 recordings") == 1


def test_what_a_step_says_is_shown_at_once_unless_quiet(clock, capsys):
    for out in (Output(quiet=True), Output()):
        with ShownProgress(out, clock) as shown:
            shown.stage("raw_detections", 1, 60.0).said("job 17 is held")
            assert capsys.readouterr().err == ("" if out.quiet else "job 17 is held\n")


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
