from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.errors import ConfigInvalid
from badc_core.recordings.clock import format_offset, locate_in_time
from badc_core.recordings.folders import read_place
from badc_core.recordings.naming import read_file_name
from badc_core.recordings.zones import parse_offset_min, read_zone
from badc_core.settings import RecordingSettings

TEMPLATES = RecordingSettings().templates
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)
OFFSETS = st.integers(-14 * 60 + 1, 14 * 60)
# What a zone can be: no zone is a quarter of an hour from UTC.
ZONES_MIN = (
    st.integers(-12 * 4, 14 * 4).map(lambda n: n * 15).filter(lambda n: abs(n) not in {15, 30, 45})
)
FORMS = [
    "%Y%m%d_%H%M%S",
    "%Y%m%d_%H%M%ST",
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%d%H%M%S",
    "24F319046026A6B1_%Y%m%d_%H%M%S",
    "S4A01234_%Y%m%d_%H%M%S",
    "SITE-1_0+1_%Y%m%d_%H%M%S",
    "SITE-1__0__%Y%m%d_%H%M%S",
    "SITE-1__1__%Y%m%d_%H%M%S",
    "SITE_A_%Y%m%d_%H%M%S_000",
    "%Y-%m-%dT%H-%M-%S",
    "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%d %H.%M.%S",
    "%Y-%m-%d_%H%M%S",
    "%Y-%m-%d-birdnet-%H:%M:%S",
    "site 7 %Y-%m-%d %H:%M:%S",
]
OFFSET_FORMS = [
    "%Y%m%dT%H%M%S{offset}",
    "%Y%m%dT%H%M%S{offset}_REC",
    "%Y%m%dT%H%M%S{offset}_REC [-19.2144+152.8811]",
    "%Y%m%dT%H%M%S{offset}_Rec2_-18.2656+144.5564",
    "PILLIGA_%Y%m%dT%H%M%S{offset}",
    "%Y-%m-%dT%H-%M-%S{offset}",
]


MADE = [
    *("Data (1)", "Data - Copy", "Data - Copy (2)", "Data copy 2", "Data 2", "Data_2", "data2"),
    *("Copy of Data", "Data (copy)", "SOUND", "Sounds", "Recordings", "wav", "Voice Recorder"),
    *("240815_091156", "240815_001", "20240815_091156", "2024-08-15 09.11.56", "15.08.2024"),
    *("Card 2", "SD Card 1", "slot b", "Night 3", "Week 33", "2024W33", "Aug 2024", "15 Aug 2024"),
    *("20240815_Samford", "2024-08-15 night", "Session_20240815_053030", "24Y08M15", "TAKE-001"),
    *("2024-08-15T091156Z", "2024-08/15", "20240815/am", "SITE_Data", "Data_SITE", "SITE_CardA"),
    *(
        "New folder (2)",
        "untitled folder",
        "NO NAME",
        "uploads",
        "Neuer Ordner",
        "WAV files",
        "07-2024",
        "August 15",
        "2024/July",
    ),
    *("REC0001", "MTR/PROJ001", "4CH/FOLDER02", "DCIM (1)/100MEDIA", "Data/Data"),
]

CODES = ["MAY01", "DEC-3", "SEP12", "MAR2", "REC12", "Recorder 3", "WAV1", "TAG7", "A3", "Dusk 2"]


@pytest.mark.parametrize("form", FORMS)
@given(moment=MOMENTS)
def test_any_moment_in_any_form_is_read_back(form: str, moment: datetime) -> None:
    found = read_file_name(f"{moment.strftime(form)}.wav")
    assert found.clock == moment
    assert found.utc_offset_min == (0 if form.endswith("Z") else None)


@pytest.mark.parametrize("form", OFFSET_FORMS)
@given(moment=MOMENTS, offset_min=ZONES_MIN)
def test_an_offset_in_a_name_is_read_back(form: str, moment: datetime, offset_min: int) -> None:
    offset = format_offset(offset_min).replace(":", "")
    found = read_file_name(moment.strftime(form).replace("{offset}", offset) + ".flac")
    assert (found.clock, found.utc_offset_min) == (moment, offset_min)


@pytest.mark.parametrize(
    ("name", "clock", "offset_min"),
    [
        ("S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.3+78.9", "91156.982", 600),
        ("S20240815T091156676+1000_E20240815T040446501+1000_-08.0000+000.0000", "91156.676", 600),
        ("20240815T091156.789+1130_00600", "91156.789", 690),
        ("202408 15T 91156+1000_REC", None, None),
        ("2024 815T091156+1000_REC", "91156", 600),
        ("20240815T 91156+1000_REC", "91156", 600),
        ("20240815T091156+10", "91156", 600),
        ("20240815T091156-05_REC", "91156", -300),
        ("20240815_091156UTC+2", "91156", 120),
        ("20240815_091156_UTC-03:30", "91156", -210),
        ("20240815_091156_GMT", "91156", 0),
        ("20240815_091156_500-0330", "91156.500", -210),
        ("2024-08-15T09-11-56.123-0330", "91156.123", -210),
        ("20240815T091156Z", "91156", 0),
        ("20240815_0911", "91100", None),
        ("240815_0911_test", "91100", None),
        ("ZOOM_240815-091156", "91156", None),
        ("671629352.240815091156", "91156", None),
        ("5678.240815091156", "91156", None),
        ("2024-08-15-birdnet-RTSP_1-09_11_56", "91156", None),
        ("2024-08-15T09-11", "91100", None),
        ("2024-08-15T09_11_56.000Z", "91156", 0),
        ("ROCK1_20240815T091156.5-0400", "91156.500", -240),
        ("2024-08-15T09:11:56.75+02:00", "91156.750", 120),
        ("SM3_0+1_20240815$091156", "91156", None),
        ("20240815T091156_614e53d_2.8dB", "91156", None),
        ("2024-08-15_09-11-56_dur=300secs", "91156", None),
        ("240815_0911_01", "91100", None),
        ("20240815_091156-2", "91156", None),
        ("20240815T091156-18.2656+144.5564", "91156", None),
        # Zones in every writing.
        ("20240815_091156(UTC-6)", "91156", -360),
        ("20240815_091156 (UTC-6)", "91156", -360),
        ("20240815_091156 [UTC+05:45]", "91156", 345),
        ("20240815_091156_UTC+05_45", "91156", 345),
        ("20240815_091156_UTC+5.30", "91156", 330),
        ("20240815_091156_utc-6", "91156", -360),
        ("20240815_091156{gmt+2}", "91156", 120),
        ("20240815_091156_GMT0", "91156", 0),
        ("20240815T091156\u22120600", "91156", -360),
        ("20240815_091156 UTC\u20136", "91156", -360),
        ("20240815T091156\uff0b10\ua78930", "91156", 630),
        ("20240815_091156[-06:00]", "91156", -360),
        ("20240815_091156 -0600", "91156", -360),
        ("20240815_091156_-06:00", "91156", -360),
        ("20240815_091156-06:00 UTC", "91156", -360),
        ("20240815_091156_REC_UTC-6", "91156", -360),
        ("UTC_20240815_091156", "91156", 0),
        ("SITE1 UTC-6 20240815_091156", "91156", -360),
        ("20240815t091156z", "91156", 0),
        ("20240815_091156_JST", "91156", 540),
        ("20240815_091156 (AKST)", "91156", -540),
        ("20240815_091156-HST", "91156", -600),
        ("20240815_091156 AEST", "91156", 600),
        ("20240815T091156Z-18.2656+144.5564", "91156", 0),
        ("20240815_091156_UTC_minus_6", "91156", -360),
        ("20240815_091156_UTCplus2", "91156", 120),
        ("20240815_091156+5:30", "91156", 330),
        ("20240815_091156.JST", "91156", 540),
        ("20240815T091156+0200CEST", "91156", 120),
        ("20240815T091156-0600REC", "91156", -360),
        ("2024-08-15T09-11-56-06-00", "91156", -360),
        ("20240815T09:11:56.123456-06:00", "91156.123", -360),
        # What is no zone.
        ("20240815_091156-0600rec", "91156", -360),
        ("20240815_091156-0600e29b-41d4-a716", "91156", None),
        ("20240815_091156-0600-41d4-a716-446655440000", "91156", None),
        ("20240815_091156-24bit", "91156", None),
        ("MARS-20240815T091156Z-16kHz", "91156", 0),
        ("20240815_091156_BAT", "91156", None),
        ("20240815_091156_est", "91156", None),
        # Dates and times as programs and people write them.
        ("Wav0012_2024_08_15__09_11_56", "91156", None),
        ("WhatsApp Audio 2024-08-15 at 09.11.56", "91156", None),
        ("2024-08-15 09-11-56 PM", "211156", None),
        ("Recording 2024-08-15 at 9.11.56\u202fpm", "211156", None),
        ("2024-08-15 12-11-56 a.m.", "001156", None),
        ("Aug 15, 2024, 9.11.56 AM", "91156", None),
        ("15Aug2024_091156", "91156", None),
        ("2024-Aug-15_09-11-56", "91156", None),
        ("15-08-2024_09-11-56", "91156", None),
        ("08.15.2024 09.11.56", "91156", None),
        ("2024-08-15T09h11m56s+0200", "91156", 120),
        ("20240815 - 091156", "91156", None),
        ("2024-08-15 9-11-56 AM", "91156", None),
        ("2024-08-15_T_09-11-56", "91156", None),
        ("2024-08-15.09-11-56", "91156", None),
        ("20240815_09-11-56", "91156", None),
        ("20240815 09h11", "91100", None),
    ],
)
def test_a_time_is_read_with_all_that_belongs_to_it(name, clock, offset_min) -> None:
    found = read_file_name(f"{name}.wav")
    form = "%Y%m%d %H%M%S.%f"
    digits, _, fraction = (clock or "").partition(".")
    wanted = clock and datetime.strptime(f"20240815 {digits:0>6}.{fraction or 0}", form)
    assert (found.clock, found.utc_offset_min) == (wanted, offset_min)
    assert found.warnings == ()


@pytest.mark.parametrize(
    "offset",
    [
        *("+2460", "-1575", "UTC+99", "-05", "_+1000", " UTC+2.5"),
        *("EDT", "_IST", " MSK", "_PST_1", " (CST)", "_ist", "-BST", "_WET", "_WEST"),
        *(
            "--0600",
            "Z-0600",
            "Z (UTC-6)",
            "_UTC-6_UTC+2",
            " UTC 6",
            "-0430ABCD",
            "-hst",
            "_UTC-00123",
        ),
        *(
            "_Z",
            " Z",
            "_Z+0200",
            "_EST5EDT",
            "_America-Edmonton",
            "_tz-6",
            "_zulu",
            "_DST",
            "_REC_JST",
            "_S1_IST",
        ),
    ],
)
def test_what_looks_like_an_offset_and_cannot_be_read_is_warned_of(offset: str) -> None:
    found = read_file_name(f"20240815_091156{offset}.wav")
    assert (found.clock, found.utc_offset_min) == (datetime(2024, 8, 15, 9, 11, 56), None)
    assert "looks like an offset" in found.warnings[0]


def test_every_abbreviation_that_is_read_has_one_offset_in_the_zone_database() -> None:
    days = [datetime(year, month, 1, tzinfo=UTC) for year in range(2000, 2027) for month in (1, 7)]
    offsets = defaultdict(set)
    for name in available_timezones() - {"Asia/Pyongyang"}:  # KST was 8:30 there for three years
        for local in (day.astimezone(ZoneInfo(name)) for day in days):
            offsets[str(local.tzname()).upper()].add(local.utcoffset())
    read = {name: read_zone("", f"_{name}", has_t=False)[0] for name in offsets}
    taken = {name: minutes for name, minutes in read.items() if minutes is not None}
    assert len(taken) > 20
    for name in taken.keys() - {"UTC", "GMT"}:
        assert offsets[name] == {timedelta(minutes=taken[name])}, name


@pytest.mark.parametrize(
    ("name", "doubt"),
    [
        ("20240815_091156_PM.wav", "half of the day"),
        ("05-08-2024_09-11-56.wav", "day or the month"),
        ("JST_20240815_091156.wav", "looks like an offset"),
    ],
)
def test_what_may_mean_another_time_is_warned_of(name: str, doubt: str) -> None:
    assert doubt in read_file_name(name).warnings[0]


def test_a_time_that_may_be_the_number_of_a_file_is_warned_of() -> None:
    found = read_file_name("240815_0007.wav")
    assert found.clock == datetime(2024, 8, 15, 0, 7)
    assert "count files" in found.warnings[0]
    assert read_file_name("240815_0000.wav").warnings == ()


def test_the_letter_before_a_start_and_end_is_no_place() -> None:
    name = "S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.34567+78.98102.wav"
    assert read_file_name(name).fields == {"latitude": -12.34567, "longitude": 78.98102}


@given(st.datetimes(datetime(2010, 1, 1), datetime(2059, 12, 31)))
def test_an_old_audiomoth_name_is_seconds_since_1970_in_hex(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    found = read_file_name(f"{int(moment.replace(tzinfo=UTC).timestamp()):08X}.WAV")
    assert (found.clock, found.utc_offset_min) == (moment, 0)


@pytest.mark.parametrize(
    "name",
    ["soundscape.flac", "aru_1.wav", "20230501.wav", "20231301_050000.wav", "20230501_250000.wav"],
)
def test_a_name_without_a_time_has_none(name: str) -> None:
    assert read_file_name(name).clock is None


def test_a_position_without_both_signs_is_not_believed() -> None:
    for position in ("[19.2144-152.8811]", "[19.2052 152.8719]", "[19.21440152.8811]"):
        assert "latitude" not in read_file_name(f"20190401T000000+1000_REC {position}.flac").fields
    fields = read_file_name("20190401T000000+1000_REC [-19.2144+152.8811].flac").fields
    assert fields == {"latitude": -19.2144, "longitude": 152.8811}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("24F319046026A6B1_20230501_050000.WAV", {"device_serial": "24F319046026A6B1"}),
        ("SITE-1_0+1_20230501_050000.wav", {"location": "SITE-1"}),
        ("SITE-1__0__20230501_050000.wav", {"location": "SITE-1"}),
        ("SM_A_1_20230501_050000.wav", {"location": "SM_A_1"}),
        ("20230501_050000.wav", {}),
        ("SITE-1_-+1_20230501_050000.wav", {"location": "SITE-1"}),
        ("Solo-3=2023-05-01_05-00-00.wav", {"location": "Solo-3"}),
        ("Turdus_merula-85-2023-05-01-birdnet-05:00:00.mp3", {}),
        ("turdus_merula_85p_20230501T050000Z.wav", {}),
        ("SITE1 UTC-6 20230501_050000.wav", {"location": "SITE1"}),
        ("UTC_20230501_050000.wav", {}),
        ("New Recording 2023-05-01 at 05.00.00.wav", {}),
        ("WhatsApp Audio 2023-05-01 at 05.00.00.wav", {}),
    ],
)
def test_what_stands_before_the_date_is_a_serial_number_or_a_place(name, fields) -> None:
    assert read_file_name(name).fields == fields


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("Boreal/ARU_data/SM/S1/A/Data/x.wav", {"study_area": "Boreal", "location": "S1"}),
        (
            "Sambaa K'e/2023/S 1/x.wav",
            {"study_area": "Sambaa K'e", "subdir": "2023", "location": "S 1"},
        ),
        ("Boreal/S1/x.wav", {"study_area": "Boreal", "location": "S1"}),
        ("S1/x.wav", {"location": "S1"}),
        ("x.wav", None),
        ("North/SITE/Data/x.wav", {"study_area": "North", "location": "SITE"}),
        ("SITE/Data/x.wav", {"location": "SITE"}),
        ("255/445/20190324_AAO/x.wav", {"study_area": "255", "location": "445"}),
        ("SITE/2024/05/12/x.wav", {"location": "SITE"}),
        ("SITE/2024/05/x.wav", {"location": "SITE"}),
        ("SITE/240512/x.wav", {"location": "SITE"}),
        ("SITE/2024-05-12/x.wav", {"location": "SITE"}),
        ("North/SITE/2024/A/Data/x.wav", {"study_area": "North", "location": "SITE"}),
        ("Sud/05/x.wav", {"study_area": "Sud", "location": "05"}),
        ("A/x.wav", {"location": "A"}),
        ("SITE/A/Data/x.wav", {"location": "SITE"}),
        ("North/SITE/B/Data/x.wav", {"study_area": "North", "location": "SITE"}),
        ("SITE/b/data/x.wav", {"location": "SITE"}),
        ("SITE/Card A/Data/x.wav", {"location": "SITE"}),
        ("SITE/20240512/A/x.wav", {"location": "SITE"}),
        ("SITE/Data/A/x.wav", {"location": "SITE"}),
        ("SITE/DCIM/100MEDIA/x.wav", {"location": "SITE"}),
        ("SITE/STEREO/FOLDER01/x.wav", {"location": "SITE"}),
        ("SITE/RECORDER/FOLDER_A/x.wav", {"location": "SITE"}),
        ("SITE/FOLDER01/ZOOM0001/x.wav", {"location": "SITE"}),
        ("SITE/MUSIC/x.wav", {"location": "SITE"}),
        ("SITE/BirdSongs/Extracted/By_Date/2024-05-12/Parus_major/x.wav", {"location": "SITE"}),
        ("SITE/StreamData/x.wav", {"location": "SITE"}),
        *[(f"SITE/{folder}/x.wav", {"location": "SITE"}) for folder in MADE],
        ("F1/240815_091156/240815_091156_Tr1.WAV", {"location": "F1"}),
        ("F2/240815_001/240815_001_Tr1.WAV", {"location": "F2"}),
        ("North/F3/MARSH01/MARSH01_TrLR.WAV", {"study_area": "North", "location": "F3"}),
        ("445/20240815_Samford/20240815T060000+1000_REC.wav", {"location": "445"}),
        ("F6/PRIVATE/SONY/REC_FILE/FOLDER01/x.wav", {"location": "F6"}),
        ("S1/S1_20240815/S1_20240815_060000.wav", {"location": "S1"}),
        ("S1/24-08-15/20240815_091156.wav", {"location": "S1"}),
        ("S1_20240815/S1_20240815_060000.wav", None),
        # What may be stations.
        ("S1/24-08-15/x.wav", {"study_area": "S1", "location": "24-08-15"}),
        ("S4A01234/S4A01234_20240815_091156.wav", {"location": "S4A01234"}),
        ("North/S01/S01.wav", {"study_area": "North", "location": "S01"}),
        ("Night 1/x.wav", {"location": "Night 1"}),
        *[(f"North/{code}/x.wav", {"study_area": "North", "location": code}) for code in CODES],
        ("North/Data Creek/x.wav", {"study_area": "North", "location": "Data Creek"}),
        ("F6/Private/x.wav", {"study_area": "F6", "location": "Private"}),
        ("S1 (1)/Data/x.wav", {"location": "S1 (1)"}),
        ("Data/x.wav", None),
        ("20190324_AAO/x.wav", None),
        ("a/b/c/d/e/x.wav", None),
    ],
)
def test_paths_are_read_by_the_first_template_that_fits(path: str, place) -> None:
    assert read_place(path, TEMPLATES) == place


def test_a_template_that_spells_out_a_recorder_folder_is_tried_on_the_whole_path() -> None:
    templates = ["{location}/{day}/Data/*", "{location}/{A|B}/*", "{location}/*"]
    assert read_place("S1/20240501/Data/x.wav", templates) == {"location": "S1", "day": "20240501"}
    assert read_place("S1/B/x.wav", templates) == {"location": "S1"}
    assert read_place("S1/20240501/x.wav", templates) == {"location": "S1"}


@pytest.mark.parametrize("template", ["{location/*", "location}/*", "{a}/{a}/*", "{1x}/*"])
def test_a_broken_template_is_refused(template: str) -> None:
    with pytest.raises(ConfigInvalid):
        read_place("a/b/c.wav", [template])


@given(OFFSETS)
def test_offsets_are_read_as_they_are_written(offset_min: int) -> None:
    assert parse_offset_min(format_offset(offset_min)) == offset_min


@given(MOMENTS, OFFSETS)
def test_a_fixed_offset_gives_utc(clock: datetime, offset_min: int) -> None:
    moment = locate_in_time(clock, format_offset(offset_min))
    assert moment.utc == clock.replace(tzinfo=UTC) - timedelta(minutes=offset_min)
    assert (moment.utc_offset_min, moment.warnings) == (offset_min, ())


@given(MOMENTS)
def test_clock_minus_offset_is_utc_in_any_season(clock: datetime) -> None:
    moment = locate_in_time(clock, "America/Edmonton")
    assert moment.utc_offset_min in {-360, -420}
    assert moment.utc == (clock - timedelta(minutes=moment.utc_offset_min)).replace(tzinfo=UTC)


def test_a_reading_that_occurs_twice_is_the_earlier_one_with_a_warning() -> None:
    moment = locate_in_time(datetime(2023, 11, 5, 1, 30), "America/Edmonton")
    assert moment.utc == datetime(2023, 11, 5, 7, 30, tzinfo=UTC)
    assert "twice" in moment.warnings[0]


def test_a_reading_that_never_occurs_is_warned_of() -> None:
    moment = locate_in_time(datetime(2023, 3, 12, 2, 30), "America/Edmonton")
    assert moment.utc == datetime(2023, 3, 12, 9, 30, tzinfo=UTC)
    assert "does not exist" in moment.warnings[0]


def test_without_a_zone_there_is_no_utc_and_a_warning() -> None:
    moment = locate_in_time(datetime(2023, 3, 12, 2, 30), None)
    assert moment.utc is None
    assert "No time zone" in moment.warnings[0]
