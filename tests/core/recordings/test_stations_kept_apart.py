"""Names and folders in which a station or an hour was once taken for something else."""

import time
from datetime import datetime, timedelta

import pytest

from badc_core.recordings.folders import is_like_made, original_of, read_place
from badc_core.recordings.naming import read_file_name
from badc_core.settings import RecordingSettings

TEMPLATES = RecordingSettings().templates
START = datetime(2024, 8, 15, 6)
ISO = "2024-08-15_06-00-00"
COMPACT = "20240815_060000"

STATIONS = [
    *("MAY-1", "P12_MAY", "P13_MAY", "Plot-3-Oct", "Grid-14-06", "Grid_02_05", "BLK_03_11"),
    *("N45_12", "UTM10", "Site_UTM12", "UTM11N_Plot3", "UTM9", "UTP3", "UT-05", "PLOT-UT-7"),
    *("PLOT_UT-07", "GMT-1", "GMT-2", "Plot7-GMT-1", "Plot7_GMT-1", "UTC-3", "GMT3", "TZ12"),
    *("Recorder2", "Recorder3", "REC2", "rec01", "WAV1", "Zoom1", "NOTE1", "REC-01", "Recorder 1"),
    *("Zoom-4", "Recording_1", "HST-04", "DEC-3", "AM101", "Zulu", "Atlantic_Forest_3"),
    *("Pacific-Spirit", "Australia_Zoo", "Africa_Camp", "SMA1RED"),
]


@pytest.mark.parametrize("form", [ISO, COMPACT, "2024_08_15_06_00_00", "2024-08-15T06-00-00"])
@pytest.mark.parametrize("station", STATIONS)
def test_a_station_before_the_date_stays_whole_and_moves_no_hour(station: str, form: str) -> None:
    found = read_file_name(f"{station}_{form}.wav")
    assert (found.clock, found.utc_offset_min) == (START, None)
    assert found.fields == {"location": station}


@pytest.mark.parametrize(
    "station", ["MAY-1", "Grid_02_05", "UT-05", "UTM10", "GMT3", "TZ12", "Zulu", "Australia_Zoo"]
)
def test_a_station_before_the_date_is_not_doubted(station: str) -> None:
    assert read_file_name(f"{station}_{ISO}.wav").warnings == ()


@pytest.mark.parametrize("station", ["GMT-1", "Plot7-GMT-1", "UTC-3"])
def test_a_station_that_looks_like_a_zone_is_doubted(station: str) -> None:
    assert "looks like an offset" in read_file_name(f"{station}_{ISO}.wav").warnings[0]


@pytest.mark.parametrize(
    "name",
    [
        *("20240815_060000-0012", "20240815_060000+0001", "240815-060000-0003"),
        *("20240815_060000_UTM13_4512345_512345", "20240815_060000_UT-3", "20240815T060000-12dB"),
        *("20240815_060000_pkt_12_Sowa", "20240815_060000_Pkt_12", "20240815_060000_pkt 3"),
        *("20240815_060000_Australia_Zoo", "20240815T060000-0700e29b-41d4", "20240815T060000+10s"),
        *(
            "20240815T060000-0600-41d4-a716-446655440000",
            "20240815T060000-10C",
            "20240815T060000-12V",
        ),
    ],
)
def test_numbers_and_words_behind_a_time_are_no_zone(name: str) -> None:
    found = read_file_name(f"{name}.wav")
    assert (found.clock, found.utc_offset_min, found.warnings) == (START, None, ())


@pytest.mark.parametrize(
    "name",
    [
        *(
            "20240815_0600-0700",
            "20240815_0600-0630_P1",
            "P1_20240815_0600-0800",
            "240815_0600-0700",
        ),
        *("20240815_060000_wib_3", "20240815_060000_HST_3"),
        *("20240815_060000_cet_ridge", "20240815_060000_CET-2", "20240815_060000-0112"),
        *("20240815_060000-0600ABCD", "20240815T060000+1437", "20240815_060000_UTCm6"),
    ],
)
def test_what_may_be_a_zone_or_something_else_is_warned_of_and_not_read(name: str) -> None:
    found = read_file_name(f"{name}.wav")
    assert (found.clock, found.utc_offset_min) == (START, None)
    assert "looks like an offset" in found.warnings[0]


@pytest.mark.parametrize(
    ("behind", "hours"),
    [
        *((f"T060000{said}", -7) for said in ("-0700-0001", "-0700Creek", "-07REC", "-07:00_1")),
        *((f"T060000{said}", 10) for said in ("+1000-0001", "+1000-2024", "+1000-beef")),
        *((f"T060000{said}", 10) for said in ("+1000Dawn", "+1000Burrow", "+10REC1", "+1000REC1")),
        *((f"T060000{said}", 10) for said in ("+1000Rec", "+1000Wood_REC", "+1000 -0001")),
        *((f"T060000{said}", -6) for said in ("-0600A", "-0600ABC1", "-0600_REC", "-06")),
        *((f"T060000{said}", 0) for said in ("Z-0001", "Z_0001", "+0000", "Z-2024")),
        *(
            (f"_060000{said}", -4)
            for said in ("-0400-0012", "-0400", " -0400", "-04:00", "(UTC-4)")
        ),
        *(("_0600+1000", 10), ("_0600(-0700)", -7), ("T0600-0700", -7)),
    ],
)
def test_an_offset_directly_behind_the_time_is_read(behind: str, hours: int) -> None:
    found = read_file_name(f"20240815{behind}.wav")
    assert (found.clock, found.warnings) == (START, ())
    assert timedelta(minutes=found.utc_offset_min or 0) == timedelta(hours=hours)
    assert found.utc_offset_min is not None


def test_a_station_before_a_date_alone_or_an_impossible_time_gives_no_other_time() -> None:
    for name in ("MAY-1_2024-08-15", "MAY-1_2024-08-15_25-00-00", "Grid-14-06-2024-08-15"):
        assert read_file_name(f"{name}.wav").clock is None


NUMBERED = [
    *("AM101", "AM102", "AM_001", "AM_2001", "PM0001", "REC101", "REC102", "Rec-101"),
    *("Recorder 001", "Recorder 99", "Recorder 100", "Recorder101", "Mono 101", "File-101"),
    *("RAW001", "Tag 001", "SD1", "SD2", "CF1", "SD-1", "SD 12", "SD_a", "cf 2"),
]


@pytest.mark.parametrize("below", ["", "/Data", "/20240815", "/Data/20240815", "/A/Data"])
@pytest.mark.parametrize("folder", NUMBERED)
def test_numbered_recorders_are_stations(folder: str, below: str) -> None:
    wanted = {"study_area": "Forest", "location": folder}
    assert read_place(f"Forest/{folder}{below}/x.wav", TEMPLATES) == wanted
    assert read_place(f"{folder}{below}/x.wav", TEMPLATES) == {"location": folder}


@pytest.mark.parametrize(
    ("path", "station"),
    [
        *((f"Data{number}/x.wav", f"Data{number}") for number in (1, 2)),
        ("Study/Sub/Loc/A/x.wav", "Loc"),
        ("DCIM/100MEDIA/x.wav", None),
        ("DCIM/101MEDIA/x.wav", None),
        *((f"Forest/P1/P1_{take}.wav", "P1") for take in ("R1", "L", "R_060000", "Tr1", "ch2")),
    ],
)
def test_a_folder_that_may_be_a_station_is_not_stepped_over(path: str, station) -> None:
    assert (read_place(path, TEMPLATES) or {}).get("location") == station


def test_no_path_takes_long_however_its_folders_are_nested_and_named() -> None:
    started = time.process_time()
    for folder in ("Night 1/", "A/Data/", "A/", "2024/05/12/"):
        assert read_place(f"S/{folder * 2000}x.wav", TEMPLATES) is not None
    assert original_of("S" + " - copy (2)" * 22) == "S"
    assert original_of("S" + " - copy (2)" * 22 + " Creek") is None
    cards = " ".join(f"sd card {number}" for number in range(25))
    dates = "-".join(["2024-08-01"] * 23)
    assert not any(map(is_like_made, (f"{cards} Creek", f"{cards[:50]}_Creek", f"S_{dates}")))
    assert time.process_time() - started < 2
