import struct
import unicodedata
from datetime import datetime
from pathlib import Path

import pytest

from badc_core.audio.riff import read_riff_layout
from badc_core.audio.tags import read_tags
from badc_core.errors import ConfigInvalid
from badc_core.recordings.audiomoth import interpret_comment, read_audiomoth
from badc_core.recordings.deployments import Deployment, read_deployments
from badc_core.recordings.folders import read_place
from badc_core.recordings.guano import interpret_guano, parse_guano, read_guano
from badc_core.recordings.naming import read_file_name

GUANO = """GUANO|Version:  1.0
Timestamp:  2012-03-29T03:58:01+04:00
Note: first line\\nsecond: line
Make: Pettersson
Model: D1000X
Serial: 77
Firmware Version: 1.0.4
Loc Position:  37.1878016 -86.1057312
Loc Elevation:  228.6
Temperature Int: 21.5
Temperature Ext: 12
PET|Gain:  80
OAD|Battery Voltage: 4.1
SB|Filter: 20kHz: Anti-Katydid
not a field
"""


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wave(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))


def test_guano_fields_are_read_by_the_specification() -> None:
    found = interpret_guano(parse_guano(GUANO))
    assert found.clock == datetime(2012, 3, 29, 3, 58, 1)
    assert found.utc_offset_min == 240
    assert found.fields == {
        "device_make": "Pettersson",
        "device_model": "D1000X",
        "device_serial": "77",
        "firmware": "1.0.4",
        "gain": "80",
        "latitude": 37.1878016,
        "longitude": -86.1057312,
        "elevation_m": 228.6,
        "battery_v": 4.1,
        "temperature_c": 21.5,
    } | {"temperature_c": 12.0}
    assert found.comments == {
        "Note": "first line\nsecond: line",
        "SB|Filter": "20kHz: Anti-Katydid",
        "Temperature Int": "21.5",
    }


@pytest.mark.parametrize(
    ("text", "clock", "offset_min"),
    [
        ("2015-12-31T23:59:59", datetime(2015, 12, 31, 23, 59, 59), None),
        ("2015-12-31T23:59:59.123Z", datetime(2015, 12, 31, 23, 59, 59, 123000), 0),
        ("2015-12-31 23:59:59-03:30", datetime(2015, 12, 31, 23, 59, 59), -210),
        ("2015-12-31 23:59:59 (UTC-3:30)", datetime(2015, 12, 31, 23, 59, 59), -210),
        ("2015-12-31T23:59:59\u221203:30", datetime(2015, 12, 31, 23, 59, 59), -210),
    ],
)
def test_guano_times_come_with_and_without_offset(text, clock, offset_min) -> None:
    found = interpret_guano({"Timestamp": text})
    assert (found.clock, found.utc_offset_min) == (clock, offset_min)


def test_bad_guano_values_are_warned_of_and_never_crash() -> None:
    values = {"Timestamp": "yesterday", "Loc Position": "north", "TE": "10", "Temperature Int": "?"}
    found = interpret_guano(values)
    assert (found.clock, found.fields) == (None, {})
    assert len(found.warnings) == 2


@pytest.mark.parametrize("first", [True, False])
def test_a_guano_chunk_is_found_before_and_after_the_sound(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "a.wav"
    guan, data = chunk(b"guan", GUANO.encode()), chunk(b"data", b"\1" * 101)
    path.write_bytes(wave(FMT, guan, data) if first else wave(FMT, data, guan))
    found = read_guano(read_tags(path))
    assert found.fields["device_model"] == "D1000X"


def test_an_odd_chunk_without_padding_does_not_lose_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wave(FMT, chunk(b"data", b"\1" * 101)[:-1], chunk(b"guan", b"Make: X")))
    layout = read_riff_layout(path)
    assert [found.name for found in layout.chunks] == ["fmt ", "data", "guan"]
    assert layout.end_bytes == layout.file_bytes


def test_the_audiomoth_comment_at_the_end_of_a_field_recording_is_read(field_audio: Path) -> None:
    path = field_audio / "audiomoth_gps.wav"
    found = read_audiomoth(read_tags(path))
    assert (found.clock, found.utc_offset_min) == (datetime(2024, 5, 28, 10), 0)
    expected = {"device_serial": "243B1F026488F56E", "gain": "medium"}
    expected |= {"battery_v": 3.8, "temperature_c": 12.8}
    assert found.fields.items() >= expected.items()


def test_a_recording_of_another_maker_has_no_audiomoth_comment(field_audio: Path) -> None:
    path = field_audio / "aru_1.wav"
    assert read_audiomoth(read_tags(path)) is None


DEVICE = "AudioMoth 243B1F026488F56E"


@pytest.mark.parametrize(
    ("start", "offset_min"),
    [("", 0), (" (UTC)", 0), (" (UTC-5)", -300), (" (UTC+5:30)", 330), (" (UTC+10)", 600)],
)
def test_every_audiomoth_zone_is_understood(start: str, offset_min: int) -> None:
    found = interpret_comment(f"Recorded at 05:06:07 31/12/2021{start} by {DEVICE} at high gain")
    assert found.clock == datetime(2021, 12, 31, 5, 6, 7)
    assert found.utc_offset_min == offset_min


@pytest.mark.parametrize(
    ("words", "fields", "comments"),
    [
        ("at gain setting 2 while battery state was 3.6V.", {"gain": "2", "battery_v": 3.6}, {}),
        (
            (
                "at medium-high gain setting while battery state was greater than 4.9V and "
                "temperature was -12.5C."
            ),
            {"gain": "medium-high", "battery_v": 4.9, "temperature_c": -12.5},
            {"battery": "greater than 4.9 V"},
        ),
        (
            (
                "using external microphone at low gain while battery was less than 2.5V. "
                "Recording stopped due to switch position change."
            ),
            {"gain": "low", "battery_v": 2.5},
            {
                "battery": "less than 2.5 V",
                "microphone": "external",
                "stopped": "switch position change",
            },
        ),
        (
            (
                "at low gain while battery was 4.0V. Amplitude threshold was 512. Band-pass filter "
                "applied with cut-off frequencies of 1.0kHz and 20.0kHz. "
                "Recording cancelled before completion due to low voltage."
            ),
            {"battery_v": 4.0},
            {
                "stopped": "low voltage",
                "amplitude_threshold": "512",
                "filter": "Band-pass filter applied with cut-off frequencies of 1.0kHz and 20.0kHz",
            },
        ),
    ],
)
def test_the_wording_of_every_firmware_is_understood(words, fields, comments) -> None:
    found = interpret_comment(f"Recorded at 05:06:07 31/12/2021 (UTC) by {DEVICE} {words}")
    assert found.fields.items() >= fields.items()
    assert {key: value for key, value in found.comments.items() if key != "ICMT"} == comments
    assert len(found.warnings) == ("stopped" in comments)


def test_the_table_of_stations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deployments.csv"
    path.write_text(
        "location,timezone,latitude,longitude,clock_offset_s\n"
        "S1,America/Edmonton,54.5,-110,\n"
        '"Sambaa K\'e, north",-07:00,,,-90\n',
        encoding="utf-8-sig",
    )
    stations = read_deployments(path)
    assert stations["S1"] == Deployment("S1", None, "America/Edmonton", 54.5, -110.0)
    assert stations["Sambaa K'e, north"].clock_offset_s == -90
    assert read_deployments(tmp_path / "absent.csv") == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("location,tz\nS1,UTC\n", "unknown column 'tz'; valid: location, study_area"),
        ("timezone\nUTC\n", "no column location"),
        ("location\nS1\nS1\n", "line 3: .*twice"),
        ("location,timezone\nS1,Mars/North\n", "line 2: timezone: unknown time zone"),
        ("location,latitude\nS1,91\n", "line 2: latitude"),
        ("location,latitude\nS1,north\n", "line 2: latitude"),
        ("location,latitude\nS1,1,2\n", "line 2: more cells"),
        ("location,latitude\n,1\n", "line 2: location is missing"),
    ],
)
def test_a_wrong_table_of_stations_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "deployments.csv"
    path.write_text(text)
    with pytest.raises(ConfigInvalid, match=what):
        read_deployments(path)


TABLE = "location,latitude,longitude,habitat\nS1,53.5,-115.25,aspen\n,,,\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", ";").replace(".", ",").encode(),
        TABLE.replace(",", "\t").replace(".", ",").encode("utf-16"),
        b"sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n").encode(),
        TABLE.replace("location", "Location").encode(),
        b'location,latitude,longitude,habitat,\nS1,"53,5","-115,25",aspen,\n',
    ],
)
def test_a_table_is_read_as_any_spreadsheet_saves_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "deployments.csv"
    path.write_bytes(content)
    station = Deployment("S1", latitude=53.5, longitude=-115.25, extras={"habitat": "aspen"})
    assert read_deployments(path) == {"S1": station}


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("station;lat;lon", "'station', 'lat', 'lon'.*semicolons"),
        ("location,lattitude", "unknown column 'lattitude'"),
        ("location,time_zone", "unknown column 'time_zone'"),
        ("name;notes", "no column location .*semicolons"),
        ("location,notes,notes", "'notes' is there twice"),
    ],
)
def test_a_column_meant_for_another_is_never_kept_unread(tmp_path, header, what) -> None:
    path = tmp_path / "deployments.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(ConfigInvalid, match=what):
        read_deployments(path)


TABLE_WITH_ACCENTS = "location,study_area\nDüne,Forêt à l'été\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_accents_are_read_from_every_encoding_of_a_spreadsheet(tmp_path, encoding) -> None:
    path = tmp_path / "deployments.csv"
    path.write_bytes(TABLE_WITH_ACCENTS.encode(encoding))
    assert read_deployments(path) == {"Düne": Deployment("Düne", study_area="Forêt à l'été")}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"location,study_area\nS1,x\nD\x81ne,North\n", r"line 3: 'D\\\\x81ne' is neither UTF-8"),
        (TABLE_WITH_ACCENTS.encode("utf-16")[:-1], "its end is missing"),
    ],
)
def test_a_table_in_no_known_encoding_is_refused_with_line_and_cell(
    tmp_path, content, what
) -> None:
    path = tmp_path / "deployments.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=what):
        read_deployments(path)


def test_a_name_is_one_name_however_its_accents_are_encoded(tmp_path) -> None:
    for form in ("NFC", "NFD"):
        place = read_place(
            unicodedata.normalize(form, "Forêt/Düne/x.wav"), ["{study_area}/{location}/*"]
        )
        assert place == {"study_area": "Forêt", "location": "Düne"}
        name = unicodedata.normalize(form, "Düne_20240501_050000.wav")
        assert read_file_name(name).fields == {"location": "Düne"}
    path = tmp_path / "deployments.csv"
    path.write_text(unicodedata.normalize("NFD", TABLE_WITH_ACCENTS), encoding="utf-8")
    assert list(read_deployments(path)) == ["Düne"]
