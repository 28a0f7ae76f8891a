import os
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.wave_texts import parse_chunk
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.recording import Recording, read_recording
from badc_core.recordings.registry import register_recordings
from tests.support.wave_files import bext_chunk, wamd_chunk

RATE_HZ = 8000


def described(
    root: Path, name: str, guano: str = "", *, chunk: bytes = b"", **settings: str
) -> Recording:
    """Returns the description of a second of sound under a name, read back from its file."""
    path = root / "audio/S1" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, 0.1 * np.sin(np.arange(RATE_HZ) / 3), RATE_HZ)
    if guano:
        content = f"GUANO|Version: 1.0\n{guano}\n".encode()
        content += b" " * (len(content) % 2)
        with path.open("ab") as file:
            file.write(b"guan" + len(content).to_bytes(4, "little") + content)
    with path.open("ab") as file:
        file.write(chunk)
    dataset = Dataset.open(root, {"recordings": settings})
    registered = register_recordings(dataset).registry.by_path[f"audio/S1/{name}"]
    recording = describe_recording(dataset, registered)
    recording.write(dataset.recording(registered.recording_id))
    return read_recording(dataset.recording(registered.recording_id))


@pytest.mark.parametrize(
    ("guano", "name"),
    [
        ("Loc Position: nan nan", "latitude"),
        ("Loc Position: 0.0 0.0", "latitude"),
        ("Loc Position: 0 -0.0", "longitude"),
        ("Loc Elevation: inf", "elevation_m"),
        ("Loc Elevation: nan", "elevation_m"),
        ("Temperature Int: nan", "temperature_c"),
        ("Temperature Ext: 1e9", "temperature_c"),
        ("OAD|Battery Voltage: -inf", "battery_v"),
    ],
)
def test_a_value_that_cannot_be_is_dropped_with_a_warning(tmp_path, guano, name) -> None:
    recording = described(tmp_path, "20230701_050000.wav", guano, timezone="UTC")
    assert getattr(recording, name) is None
    assert recording.start_local == datetime(2023, 7, 1, 5)
    assert [one for one in recording.warnings if "cannot be" in one and name in one]


def test_the_position_in_the_name_stands_in_for_null_island(tmp_path: Path) -> None:
    name = "20230701T050000+1000_REC [-19.2144+152.8811].wav"
    recording = described(tmp_path, name, "Loc Position: 0.0 0.0")
    assert (recording.latitude, recording.longitude) == (-19.2144, 152.8811)


@pytest.mark.parametrize(
    "timestamp",
    [
        "0001-01-01T00:00:10+10:00",
        "9999-12-31T23:59:59-10:00",
        "1970-01-01 00:00:10",
        "2000-01-01T05:00:00",
        "2085-06-01T05:00:00Z",
        "1980-01-06T00:00:00Z",
    ],
)
def test_a_clock_never_set_is_no_date_and_the_name_is_asked(tmp_path, timestamp) -> None:
    recording = described(
        tmp_path, "20230701_050000.wav", f"Timestamp: {timestamp}", timezone="America/Edmonton"
    )
    assert recording.start_local == datetime(2023, 7, 1, 5)
    assert recording.sources["start_local"] == "filename"
    assert recording.utc_offset_min == -360
    assert [one for one in recording.warnings if "clock was not set" in one]


def test_a_name_with_the_date_of_an_unset_clock_gives_no_start(tmp_path: Path) -> None:
    recording = described(tmp_path, "19700101_000010.wav", timezone="UTC")
    assert (recording.start_local, recording.start_utc) == (None, None)


def test_the_table_of_deployments_sets_a_clock_that_was_never_set(tmp_path: Path) -> None:
    shift_s = (datetime(2023, 7, 1, 5) - datetime(1970, 1, 1)).total_seconds()
    table = f"location,clock_offset_s\nS1,{shift_s}\n"
    (tmp_path / "deployments.csv").write_text(table)
    recording = described(tmp_path, "19700101_000010.wav", timezone="UTC")
    assert recording.start_local == datetime(2023, 7, 1, 5, 0, 10)


@pytest.mark.parametrize(
    ("year", "offset", "believed"),
    [(1995, "0", True), (1995, "", False), (1995, "60", False), (1970, "0", False)],
)
def test_a_digitised_tape_is_as_old_as_it_is_where_its_clock_is_said_to_be_right(
    tmp_path, year, offset, believed
) -> None:
    table = f"location,timezone,clock_offset_s\nS1,America/Edmonton,{offset}\n"
    (tmp_path / "deployments.csv").write_text(table)
    recording = described(tmp_path, f"{year}0501_050000.wav")
    start = datetime(year, 5, 1, 5)
    assert recording.start_local == (start if believed else None)
    told = [one for one in recording.warnings if "write 0 as clock_offset_s" in one]
    assert len(told) == (year == 1995 and not believed)


def test_a_start_keeps_the_milliseconds_that_its_source_gives(tmp_path: Path) -> None:
    recording = described(tmp_path, "20230701T050000.982648+1000_REC.wav")
    assert recording.start_local == datetime(2023, 7, 1, 5, 0, 0, 982_000)
    assert recording.start_utc == datetime(2023, 6, 30, 19, 0, 0, 982_000, tzinfo=UTC)


def test_a_start_after_the_file_was_written_is_no_start(tmp_path: Path) -> None:
    path = tmp_path / "audio/S1/20230701_050000.wav"
    described(tmp_path, path.name)
    dataset = Dataset.open(tmp_path)
    registered = register_recordings(dataset).registry.by_path["audio/S1/20230701_050000.wav"]
    for written, believed in ((datetime(2023, 6, 20), False), (datetime(1980, 1, 1), True)):
        os.utime(path, (written.timestamp(), written.timestamp()))
        assert (describe_recording(dataset, registered).start_local is not None) == believed


@pytest.mark.parametrize(
    ("timestamp", "warned"),
    [
        ("2023-07-01T11:00:00Z", False),
        ("2023-07-01T05:00:00Z", False),
        ("2023-07-01T12:00:00+01:00", False),
        ("2023-07-01T12:00:00Z", True),
    ],
)
def test_sources_contradict_each_other_only_if_they_are_different_moments(
    tmp_path, timestamp, warned
) -> None:
    recording = described(
        tmp_path, "20230701_050000.wav", f"Timestamp: {timestamp}", timezone="America/Edmonton"
    )
    assert any("is used" in one for one in recording.warnings) == warned


def test_a_song_meter_says_when_and_where_in_its_own_chunk(tmp_path: Path) -> None:
    texts = {
        1: "SM4",
        2: "S4A01234",
        5: "2023-07-01 04:00:00-06:00",
        6: "WGS84,53.51000,N,113.52000,W,700",
        21: "12.3C",
    }
    name, zone = "S4A01234_20230701_040000.wav", "America/Toronto"
    recording = described(tmp_path, name, chunk=wamd_chunk(texts), timezone=zone)
    assert recording.start_utc == datetime(2023, 7, 1, 10, tzinfo=UTC)
    assert (recording.latitude, recording.longitude) == (53.51, -113.52)
    assert (recording.elevation_m, recording.temperature_c) == (700, 12.3)
    assert (recording.device_model, recording.device_serial) == ("SM4", "S4A01234")
    assert recording.sources["start_utc"] == recording.sources["latitude"] == "wamd"


def test_a_position_without_hemispheres_and_an_unknown_version_are_not_believed(tmp_path) -> None:
    texts = {5: "2023-07-01 04:00:00 (EST)", 6: "WGS84,52.39,-9.74,102"}
    recording = described(tmp_path, "a.wav", chunk=wamd_chunk(texts))
    assert (recording.latitude, recording.start_local) == (None, None)
    assert recording.comments["Position"] == "WGS84,52.39,-9.74,102"
    assert [one for one in recording.warnings if "is not a time" in one]
    recording = described(tmp_path, "b.wav", chunk=wamd_chunk({1: "SM9"}, version=2))
    assert recording.device_model is None
    assert [one for one in recording.warnings if "of version 2" in one]


@pytest.mark.parametrize("n_zeros", [0, 5, 6, 7, 12, 600])
def test_zeros_behind_what_a_song_meter_says_are_no_version(n_zeros: int) -> None:
    content = wamd_chunk({1: "SM4"})[8:] + bytes(n_zeros)
    assert parse_chunk("wamd", content) == {"WAMD MODEL": "SM4"}
    assert parse_chunk("wamd", bytes(n_zeros)) == {}


@pytest.mark.parametrize(
    ("day", "time"), [(b"2023-07-01", b"05:00:07"), (b"2023:07:01", b"05-00-07")]
)
def test_the_date_of_a_broadcast_wave_counts_where_the_name_has_none(tmp_path, day, time) -> None:
    chunk = bext_chunk(day, time)
    recording = described(tmp_path, "ZOOM0001.WAV", chunk=chunk, timezone="America/Edmonton")
    assert recording.start_local == datetime(2023, 7, 1, 5, 0, 7)
    assert recording.sources["start_local"] == "bext"
    assert recording.utc_offset_min == -360
    recording = described(tmp_path, "20230702_050000.WAV", chunk=chunk, timezone="UTC")
    assert recording.start_local == datetime(2023, 7, 2, 5)
    assert [one for one in recording.warnings if "bext at 2023-07-01" in one]


def test_an_empty_date_of_a_broadcast_wave_is_none(tmp_path: Path) -> None:
    recording = described(tmp_path, "ZOOM0001.WAV", chunk=bext_chunk(bytes(10), bytes(8)))
    assert recording.start_local is None
    assert "Neither header nor file name says when it was recorded." in recording.warnings


def test_another_date_in_the_header_is_named_and_not_believed(tmp_path: Path) -> None:
    info = b"INFOICRD" + struct.pack("<I", 10) + b"2023-07-01"
    chunk = b"LIST" + struct.pack("<I", len(info)) + info
    recording = described(tmp_path, "ZOOM0001.WAV", chunk=chunk)
    assert recording.start_local is None
    assert [one for one in recording.warnings if "ICRD 2023-07-01, may be that of a copy" in one]
