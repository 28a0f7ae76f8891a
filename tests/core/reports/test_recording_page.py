import html
import math
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from badc_core.detections.store import FINGERPRINT_KEY, read_metadata
from badc_core.detector_settings import DetectorSettings
from badc_core.recordings.channels import ChannelFigures
from badc_core.recordings.clock import locate_in_time
from badc_core.reports.bundle import write_bundle
from badc_core.reports.page import describe_selection, format_minimum
from badc_core.reports.sun_times import describe_sun

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Balance(HTMLParser):
    """Notes every tag that is closed out of turn."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, _attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, *_):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def page_of(workbench, recording_id="soundscape"):
    write_bundle(workbench.dataset, recording_id)
    return workbench.dataset.bundle(recording_id).html.read_text(encoding="utf-8")


def test_a_page_is_whole_and_asks_for_nothing_outside(open_workbench):
    workbench = open_workbench()
    workbench.add()
    page = page_of(workbench)
    balance = Balance()
    balance.feed(page)
    assert (balance.wrong, balance.open) == ([], [])
    addresses = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert addresses
    assert all(address.startswith(("data:", "../corpus/")) for address in addresses)
    assert not re.search(r"url\((?!#)|@import|https?://", page)
    # At most two of a kind are shown.
    assert page.count("<audio controls") == 12
    assert page.count('aria-label="House Finch at') == 2
    assert page.count("data:image/png;base64,") == 12
    assert page.count("data:audio/mpeg;base64,") == 12


def test_every_species_is_heard_before_any_is_heard_twice(open_workbench):
    workbench = open_workbench(report={"top_detections": 3, "top_labels": 1})
    loud = [(3.0 * n, 3.0 * n + 3, "Jay", "Cyanocitta cristata", 0.9) for n in range(3)]
    workbench.add(found=[*loud, (30.0, 33.0, "Owl", "Strix varia", 0.3)])
    page = page_of(workbench)
    assert re.findall('data-label="([^"]+)"', page) == ["Jay", "Owl", "Jay"]
    assert "1 more." in page, "there is no table that has it"
    assert "labels.csv" not in page


def test_no_detections_is_told_apart_from_no_analysis(workbench):
    workbench.add("quiet", found=[])
    workbench.add("lost", found=[], failed={0: "worker died", 1: "worker <died> again"})
    quiet, lost = page_of(workbench, "quiet"), page_of(workbench, "lost")
    assert "<strong>No detections at or above 0.25</strong> in 2 min 00 s analysed" in quiet
    assert "Nothing could be analysed" in lost
    assert "No detections" not in lost
    assert "worker &lt;died&gt; again" in lost


def test_times_roll_over_at_midnight(workbench):
    workbench.add(start_local=datetime(2024, 12, 31, 23, 59, 30))
    page = page_of(workbench)
    assert "Tuesday 31 December 2024" in page
    assert "on Wednesday 1 January 2025" in page
    assert "1 Jan 00:00:" in page


@pytest.mark.parametrize(
    ("start", "offset_min", "shown", "hours"),
    [
        (datetime(2024, 11, 3, 1, 59, 30), -360, "01:59:30 to 01:01:", {"01:59", "01:00"}),
        (datetime(2024, 3, 10, 1, 59, 30), -420, "01:59:30 to 03:01:", {"01:59", "03:00"}),
    ],
)
def test_every_time_on_a_page_is_that_of_its_own_moment(
    open_workbench, start, offset_min, shown, hours
):
    workbench = open_workbench()
    workbench.add(
        start_local=start,
        start_utc=(start - timedelta(minutes=offset_min)).replace(tzinfo=UTC),
        utc_offset_min=offset_min,
        timezone="America/Edmonton",
    )
    page = page_of(workbench)
    assert shown in page
    other = "UTC-07:00" if offset_min == -360 else "UTC-06:00"
    assert f"at the end {other}" in page
    times = set(re.findall(r"(\d\d:\d\d):\d\d: ", page))
    assert times <= {*hours, "01:01", "03:01"}
    assert hours - {"01:59"} <= times


@pytest.mark.parametrize(
    ("day", "zone", "place", "words"),
    [
        # The clocks go forward that night, after this recording.
        (
            datetime(2024, 3, 10, 1), "America/Edmonton", (53.55, -113.47),
            "Sunrise 07:58, sunset 19:30, civil twilight from 07:24 to 20:04.",
        ),
        (
            datetime(2024, 6, 21, 5), "-06:00", (53.55, -113.47),
            "Sunrise 05:04, sunset 22:07, civil twilight from 04:11 to 23:00.",
        ),
        (
            datetime(2024, 12, 21, 5), "Europe/Oslo", (69.65, 18.96),
            "Polar night: the sun does not rise, civil twilight from 09:31 to 13:53.",
        ),
        (
            datetime(2024, 6, 21, 5), "Europe/Oslo", (69.65, 18.96),
            "Polar day: the sun does not set.",
        ),
        (datetime(2024, 6, 21, 5), "Europe/Oslo", (None, None), ""),
        (datetime(2024, 6, 21, 5), None, (53.55, -113.47), ""),
    ],
)  # fmt: skip
def test_the_sun_on_the_day_of_a_recording_is_by_clocks_at_its_station(
    workbench, day, zone, place, words
):
    moment = locate_in_time(day, zone)
    recording = workbench.add(
        found=[], start_local=day, start_utc=moment.utc, utc_offset_min=moment.utc_offset_min,
        timezone=zone, latitude=place[0], longitude=place[1],
    )  # fmt: skip
    assert describe_sun(recording) == words
    page = page_of(workbench)
    assert (f'<p class="soft">{words}</p>' in page) == bool(words)


def test_an_unknown_clock_is_said_to_be_unknown(workbench):
    workbench.add(start_local=None, utc_offset_min=None)
    page = page_of(workbench)
    assert "Date and time unknown" in page
    assert "times count from the start of the recording" in page


def test_names_are_text_and_never_markup(workbench):
    workbench.add(found=[(0.0, 3.0, "<script>alert('1')</script>, Owl", None, 0.9)])
    page = page_of(workbench)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_birdnets_licence_is_named(workbench):
    workbench.add(found=[])
    assert "CC BY-NC-SA 4.0, non-commercial" in page_of(workbench)


def test_an_absent_recording_still_gets_its_page(workbench):
    recording = workbench.add()
    workbench.dataset.audio(recording.path).unlink()
    page = page_of(workbench)
    assert "No pictures and sounds: the file is gone" in page
    assert "House Finch" in page


@pytest.mark.parametrize("source", ["veryshort.wav", "CommonYellowthroat.mp3", "aru_1.wav"])
def test_any_recorders_sound_can_be_shown(workbench, source):
    workbench.add("other", source=source, found=[(0.0, 0.14, "Jay", None, 0.5)])
    assert page_of(workbench, "other").count("<audio controls") == 1


def test_silence_and_warnings_are_pointed_out(workbench):
    told = ("Nothing is louder than -90 dBFS: check microphone.", "The clock was reset.")
    workbench.add(found=[], is_silent=True, rms_dbfs=-math.inf, warnings=told)
    page = page_of(workbench)
    assert all(page.count(one) == 1 for one in told)
    assert "below -90 dBFS" in page
    assert "silen" not in page


def test_dead_time_and_the_figures_of_channels_are_on_the_page(workbench):
    fine = ChannelFigures(-40.0, -12.3, 0.001, 0.0, 0.0)
    dead = ChannelFigures(-47.5, -12.3, 0.02, 0.0, 40.0, ((0, 40 * 48_000),))
    workbench.add("a", found=[], dead=[(0, 40_000)], n_channels=2, channels=(fine, dead))
    page = page_of(workbench, "a")
    assert "of 2 min 00 s recorded, 40.0 s dead" in page
    assert "-47.5</td>" in page
    workbench.add("b", found=[], channels=(fine,))
    assert "<h2>Channels" not in page_of(workbench, "b")
    workbench.add("c", found=[], channels=(dead,))
    assert "<h2>Channels" in page_of(workbench, "c")


def test_detections_without_a_fingerprint_are_still_of_a_schema(workbench):
    workbench.add()
    stored = read_metadata(workbench.dataset.detections("soundscape"))
    assert FINGERPRINT_KEY not in stored
    assert stored == {"badc.schema": "3"}


def test_results_of_made_up_networks_are_called_so_at_the_top(workbench):
    workbench.add(detector=("hawkears", "2.3.0+3.lowband.random"))
    page = page_of(workbench)
    before = page.index("These results mean nothing")
    assert before < page.index('class="lead"')
    balance = Balance()
    balance.feed(page)
    assert (balance.wrong, balance.open) == ([], [])


def test_results_of_real_networks_have_no_such_banner(workbench):
    workbench.add(detector=("hawkears", "2.3.0+3"))
    assert "mean nothing" not in page_of(workbench)


def test_a_page_names_no_folder_of_this_machine(workbench):
    root = workbench.dataset.root
    workbench.add(failed={0: f"{root}/audio/x.wav: it cannot be decoded"})
    page = html.unescape(page_of(workbench))
    assert ": audio/x.wav: it cannot be decoded" in page
    assert str(root) not in page


def test_a_page_says_which_labels_are_treated_in_a_way_of_their_own() -> None:
    plain = DetectorSettings()
    assert (format_minimum(plain), describe_selection(plain)) == ("0.25", "")
    own = DetectorSettings(thresholds={"House Finch": 0.6}, exclude=("Engine", "Dog"))
    assert format_minimum(own) == "0.25 (1 label has its own minimum)"
    assert describe_selection(own) == "own minimum: House Finch 0.6; left out: Engine, Dog"
