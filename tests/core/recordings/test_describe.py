import math
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, UnreadableRecording
from badc_core.hashing import sha256_file
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.quality import measure_quality
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registry import register_recordings

RATE_HZ = 8000


def describe(root: Path, path: str, source: Path | np.ndarray | None = None, **recordings):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path):
        shutil.copyfile(source, file)
    else:
        default = 0.1 * np.sin(np.arange(RATE_HZ) / 3)
        sf.write(file, default if source is None else source, RATE_HZ)
    dataset = Dataset.open(root, {"recordings": recordings})
    registry = register_recordings(dataset).registry
    return describe_recording(dataset, registry.by_path[path])


def append_guano(path: Path, text: str) -> None:
    content = text.encode() + b" " * (len(text.encode()) % 2)
    with path.open("ab") as file:
        file.write(b"guan" + len(content).to_bytes(4, "little") + content)


def test_an_audiomoth_recording_is_described_from_header_name_and_path(
    field_audio: Path, tmp_path: Path
) -> None:
    source = field_audio / "audiomoth_gps.wav"
    recording = describe(tmp_path, "audio/Boreal/S1/20240528_100000.WAV", source)
    assert recording.recording_id == "20240528_100000"
    assert (recording.study_area, recording.location) == ("Boreal", "S1")
    assert recording.start_local == datetime(2024, 5, 28, 10)
    assert recording.start_utc == datetime(2024, 5, 28, 10, tzinfo=UTC)
    assert (recording.utc_offset_min, recording.timezone) == (0, "+00:00")
    assert (recording.sample_rate_hz, recording.n_samples) == (48_000, 95_999)
    assert recording.sha256 == sha256_file(source)
    assert recording.sources["start_utc"] == "audiomoth"
    assert recording.sources["location"] == "path"
    assert recording.warnings == ()


def test_the_table_of_stations_overrules_the_header(tmp_path: Path) -> None:
    (tmp_path / "deployments.csv").write_text(
        "location,study_area,timezone,latitude,longitude,clock_offset_s\n"
        "S1,North,America/Edmonton,54.5,-110.25,3600\n"
    )
    recording = describe(tmp_path, "audio/Boreal/S1/20230701_050000.wav", timezone="UTC")
    assert (recording.study_area, recording.latitude) == ("North", 54.5)
    assert recording.start_local == datetime(2023, 7, 1, 6)
    assert recording.start_utc == datetime(2023, 7, 1, 12, tzinfo=UTC)
    assert recording.sources["timezone"] == "deployments"
    assert recording.sources["start_local"] == "filename"


def test_guano_goes_before_the_file_name_and_disagreement_is_told(tmp_path: Path) -> None:
    path = "audio/S1/20230701_050000.wav"
    describe(tmp_path, path)
    text = "GUANO|Version: 1.0\nTimestamp: 2023-07-01T07:00:00-06:00\nLength: 99\nModel: SM4\n"
    append_guano(tmp_path / path, text)
    dataset = Dataset.open(tmp_path)
    recording = describe_recording(dataset, register_recordings(dataset).registry.by_path[path])
    assert recording.start_utc == datetime(2023, 7, 1, 13, tzinfo=UTC)
    assert recording.device_model == "SM4"
    assert recording.timezone == "-06:00"
    assert any("guano is used" in warning for warning in recording.warnings)
    assert any("Length 99" in warning for warning in recording.warnings)


def test_a_recorder_set_to_utc_is_shown_in_the_local_time_of_its_station(
    field_audio: Path, tmp_path: Path
) -> None:
    source = field_audio / "audiomoth_gps.wav"
    recording = describe(tmp_path, "audio/S1/x.WAV", source, timezone="America/Edmonton")
    assert recording.start_utc == datetime(2024, 5, 28, 10, tzinfo=UTC)
    assert recording.start_local == datetime(2024, 5, 28, 4)
    assert (recording.utc_offset_min, recording.timezone) == (-360, "America/Edmonton")
    assert recording.sources["start_utc"] == "audiomoth"


def test_what_is_not_known_is_none_with_a_warning(tmp_path: Path) -> None:
    recording = describe(tmp_path, "audio/chorus.wav")
    assert (recording.location, recording.start_local, recording.start_utc) == (None, None, None)
    assert len(recording.warnings) == 2
    named = describe(tmp_path, "audio/S1/20230701_050000.wav")
    assert named.start_utc is None
    assert any("No time zone" in warning for warning in named.warnings)


def test_a_station_called_none_is_not_the_station_of_recordings_from_nowhere(
    tmp_path: Path,
) -> None:
    (tmp_path / "deployments.csv").write_text("location,study_area\nNone,Nowhere\n")
    recording = describe(tmp_path, "audio/x.wav")
    assert (recording.location, recording.study_area) == (None, None)


def test_a_silent_recording_survives_its_file(tmp_path: Path) -> None:
    recording = describe(tmp_path, "audio/a.wav", np.zeros(RATE_HZ))
    assert recording.is_silent
    assert recording.rms_dbfs == -math.inf
    assert "Nothing is louder than -90 dBFS: check microphone and gain." in recording.warnings
    written = tmp_path / "out" / "a.json"
    recording.write(written)
    assert "Infinity" not in written.read_text()
    assert read_recording(written) == recording


def test_every_field_survives_its_file(field_audio: Path, tmp_path: Path) -> None:
    name = "audio/Sambaa K'e/S 1/été 20240528_100000.WAV"
    recording = describe(tmp_path, name, field_audio / "audiomoth_gps.wav")
    written = tmp_path / f"{recording.recording_id}.json"
    recording.write(written)
    assert read_recording(written) == recording


def test_a_full_scale_sine_is_3_db_below_its_peak(tmp_path: Path) -> None:
    path = tmp_path / "sine.wav"
    sine = np.sin(2 * np.pi * np.arange(48_000) / 48)
    sf.write(path, np.stack([sine, 0.5 * sine], axis=1), 48_000, subtype="FLOAT")
    with AudioFile(path) as audio:
        quality, _ = measure_quality(audio)
    assert quality.peak_dbfs == pytest.approx(0, abs=1e-4)
    assert quality.rms_dbfs == pytest.approx(10 * math.log10(0.5 * (1 + 0.25) / 2), abs=1e-4)
    assert quality.clipped_fraction == pytest.approx(2 / 48 / 2)
    assert quality.n_samples == 48_000


def test_clipping_above_one_percent_is_warned_of(tmp_path: Path) -> None:
    clipped = np.clip(2 * np.sin(np.arange(RATE_HZ) / 5), -1, 1)
    recording = describe(tmp_path, "audio/a.wav", clipped)
    assert recording.clipped_fraction > 0.5
    assert any("clipped" in warning for warning in recording.warnings)


def test_noise_of_a_quiet_recorder_is_not_silence(field_audio: Path) -> None:
    with AudioFile(field_audio / "silence_10s.mp3") as audio:
        quality, _ = measure_quality(audio)
    assert not quality.is_silent
    assert -90 < quality.rms_dbfs < quality.peak_dbfs < -60
    assert quality.n_samples == 441_000


def test_samples_that_are_not_numbers_are_taken_as_zero_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "audio" / "nan.wav"
    path.parent.mkdir()
    sound = np.array([0.5, np.nan, 0.1, np.inf, -np.inf], dtype=np.float32)
    sf.write(path, sound, RATE_HZ, subtype="FLOAT")
    with AudioFile(path) as audio:
        np.testing.assert_array_equal(audio.read(0, 5), np.float32([0.5, 0, 0.1, 0, 0]))
    dataset = Dataset.open(tmp_path)
    registry = register_recordings(dataset).registry
    recording = describe_recording(dataset, registry.by_path["audio/nan.wav"])
    assert recording.peak_dbfs == pytest.approx(20 * math.log10(0.5))
    assert "Samples that are not numbers, taken as 0: 3." in recording.warnings


def test_a_truncated_recording_has_no_description(field_audio: Path, tmp_path: Path) -> None:
    content = (field_audio / "soundscape.flac").read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableRecording):
        describe(tmp_path, "audio/S1/cut.flac", cut)


def test_the_description_of_another_recording_is_refused(tmp_path: Path) -> None:
    written = tmp_path / "a.json"
    describe(tmp_path, "audio/a.wav").write(written)
    (tmp_path / "c.json").write_bytes(written.read_bytes())
    with pytest.raises(DatasetInvalid, match=r"c\.json: .* of another recording, a\. Describe it"):
        read_recording(tmp_path / "c.json")


def test_a_description_with_a_senseless_value_is_refused_by_field(tmp_path: Path) -> None:
    written = tmp_path / "a.json"
    describe(tmp_path, "audio/a.wav").write(written)
    written.write_text(written.read_text().replace('"n_samples": ', '"n_samples": -0.5'))
    with pytest.raises(DatasetInvalid, match=r"not a recording description .*n_samples"):
        read_recording(written)
