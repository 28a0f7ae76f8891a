"""Chunks as files, and times in them as samples of the recording."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detectors.chunk_files import FoundInFile, spans, write_chunk_file
from badc_core.detectors.interface import NOWHERE, Label, Occasion
from badc_core.errors import OutputUnwritable, StorageFull, UnreadableRecording

RATE_HZ = 8000
WREN = Label("Wren", "WREN")


def chunk_of(start: int, end: int, overlap: int = 0, rate_hz: int = RATE_HZ) -> Chunk:
    return Chunk("rec", start, end, overlap, rate_hz)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "stereo.wav"
    samples = np.random.default_rng(3).normal(0, 0.1, (3 * (1 << 20) + 17, 2))
    sf.write(path, samples, RATE_HZ)
    return path


def test_the_file_holds_exactly_the_chunk(recording: Path, scratch: Path) -> None:
    place = Occasion(50.0, -120.0, "2024-05-01")
    with AudioFile(recording) as audio:
        chunk = chunk_of(11, audio.n_samples - 5, overlap=100)
        file = write_chunk_file(audio, chunk, place)
        expected = audio.read(chunk.start_sample, chunk.end_sample)
    assert file.path.name == f"{chunk.chunk_id}.wav"
    assert file.path.is_relative_to(scratch)
    assert (file.chunk, file.occasion, len(file)) == (chunk, place, 1)
    found = sf.info(file.path)
    assert (found.samplerate, found.channels, found.subtype) == (RATE_HZ, 1, "FLOAT")
    np.testing.assert_array_equal(sf.read(file.path, dtype="float32")[0], expected)


def test_what_a_program_wrote_is_kept_only_where_that_is_wanted(
    recording: Path, scratch: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "new" / "l'été; $HOME_runner"
    with AudioFile(recording) as audio:
        file = write_chunk_file(audio, chunk_of(0, 100), NOWHERE)
    file.keep_output()
    assert not kept.exists()
    (file.output / "a b").mkdir()
    (file.output / "a b" / "x.csv").write_text("first")
    wanted = file.kept_in(kept)
    wanted.keep_output()
    assert [path.name for path in kept.rglob("*")] == ["a b", "x.csv"]
    (file.output / "a b" / "x.csv").rename(file.output / "y.csv")
    wanted.keep_output()
    assert sorted(path.name for path in kept.rglob("*")) == ["a b", "y.csv"]
    wanted.remove()
    assert list(scratch.iterdir()) == []
    assert (kept / "y.csv").read_text() == "first"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_what_cannot_be_kept_is_an_error_that_leaves_what_was_there(
    recording: Path, scratch: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "old.csv").write_text("old")
    with AudioFile(recording) as audio:
        file = write_chunk_file(audio, chunk_of(0, 100), NOWHERE).kept_in(kept)
    (file.output / "a.csv").write_text("new")
    (file.output / "nowhere").symlink_to("gone")
    os.mkfifo(file.output / "z")
    with pytest.raises(shutil.SpecialFileError, match="named pipe"):
        file.keep_output()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    assert [path.name for path in kept.iterdir()] == ["old.csv"]
    (file.output / "z").unlink()
    file.keep_output()
    assert sorted(path.name for path in kept.iterdir()) == ["a.csv", "nowhere"]
    with pytest.raises(OutputUnwritable):
        file.kept_in(recording / "below a file").keep_output()
    file.remove()


def test_the_same_chunk_may_lie_there_twice_and_is_removed_by_itself(
    recording: Path, scratch: Path
) -> None:
    with AudioFile(recording) as audio:
        first, second = (write_chunk_file(audio, chunk_of(0, 100), NOWHERE) for _ in range(2))
    assert first.path != second.path
    first.remove()
    first.remove()
    assert second.path.exists()
    second.remove()
    assert list(scratch.iterdir()) == []


def test_a_recording_that_cannot_be_decoded_leaves_no_file(recording: Path, scratch: Path) -> None:
    with AudioFile(recording) as audio:
        beyond = chunk_of(audio.n_samples - 10, audio.n_samples + 10)
        with pytest.raises(UnreadableRecording):
            write_chunk_file(audio, beyond, NOWHERE)
    assert list(scratch.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_no_file(
    recording: Path, scratch: Path, monkeypatch, lacking
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        lacking("/dev/full")
    folder = scratch / "fresh"
    folder.mkdir()
    # The folder is random otherwise, and only a file known before can be made to lead to a full
    # device.
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(folder))
    with AudioFile(recording) as audio:
        chunk = chunk_of(0, audio.n_samples)
        (folder / f"{chunk.chunk_id}.wav").symlink_to(full)
        with pytest.raises(StorageFull, match=str(scratch)):
            write_chunk_file(audio, chunk, NOWHERE)
    assert list(scratch.iterdir()) == []


def test_times_in_the_file_become_samples_of_the_recording() -> None:
    found = [FoundInFile(1.5, 2.25, WREN, 0.5, is_expected=False, occurrence=0.01)]
    (one,) = spans(chunk_of(80_000, 120_000), found)
    assert (one.start_sample, one.end_sample) == (92_000, 98_000)
    assert (one.label, one.confidence) == (WREN, 0.5)
    assert (one.is_expected, one.occurrence) == (False, 0.01)


def test_what_begins_in_the_overlap_belongs_to_the_chunk_before() -> None:
    chunk = chunk_of(8000, 24_000, overlap=4000)
    times = [(0.0, 1.0), (0.499, 1.0), (0.5, 1.0), (0.75, 1.0)]
    found = spans(chunk, [FoundInFile(start, end, WREN, 0.5) for start, end in times])
    assert [one.start_sample for one in found] == [12_000, 14_000]


def test_a_padded_window_ends_where_the_chunk_does_and_nothing_has_no_length() -> None:
    chunk = chunk_of(0, 16_000)
    times = [(1.5, 4.5), (2.0, 3.0), (1.0, 1.0), (1.0, 1.0001), (1.9999, 3.0), (0.0, 0.001)]
    found = spans(chunk, [FoundInFile(start, end, WREN, 0.5) for start, end in times])
    assert [(one.start_sample, one.end_sample) for one in found] == [(0, 8), (12_000, 16_000)]


def test_detections_come_by_start_then_label() -> None:
    times = [(1.0, "b"), (0.5, "c"), (1.0, "a")]
    found = [FoundInFile(start, start + 1, Label(name), 0.5) for start, name in times]
    assert [one.label.name for one in spans(chunk_of(0, 80_000), found)] == ["c", "a", "b"]


@given(
    start=st.integers(0, 10**9),
    length=st.integers(1, 10**6),
    overlap=st.floats(0, 0.99),
    rate_hz=st.sampled_from([8000, 22_050, 44_100, 384_000]),
    times=st.lists(st.tuples(st.floats(-1, 200), st.floats(-1, 200)), max_size=5),
)
def test_detections_never_leave_their_chunk(start, length, overlap, rate_hz, times) -> None:
    chunk = Chunk("rec", start, start + length, int(overlap * length), rate_hz)
    for one in spans(chunk, [FoundInFile(*time, WREN, 0.5) for time in times]):
        assert chunk.start_sample + chunk.overlap_samples <= one.start_sample
        assert one.start_sample < one.end_sample <= chunk.end_sample
