"""Chunks as files, and times in them as samples of the recording."""

import errno
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
from badc_core.detectors.chunk_files import (
    ChunkFile,
    FoundInFile,
    forget_output,
    place_detections,
    write_chunk_file,
)
from badc_core.detectors.interface import NO_CONTEXT, Label, RecordingContext
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
    place = RecordingContext(50.0, -120.0, "2024-05-01")
    with AudioFile(recording) as audio:
        chunk = chunk_of(11, audio.n_samples - 5, overlap=100)
        file = write_chunk_file(audio, chunk, place)
        expected = audio.read(chunk.start_sample, chunk.end_sample)
    assert file.path.name == f"{chunk.chunk_id}.wav"
    assert file.path.is_relative_to(scratch)
    assert (file.chunk, file.recording_context, len(file)) == (chunk, place, 1)
    found = sf.info(file.path)
    assert (found.samplerate, found.channels, found.subtype) == (RATE_HZ, 1, "FLOAT")
    np.testing.assert_array_equal(sf.read(file.path, dtype="float32")[0], expected)


def test_the_file_holds_the_channel_that_is_analysed(recording: Path, scratch: Path) -> None:
    chunk = chunk_of(11, 9_000)
    with AudioFile(recording, channel=1) as audio:
        file = write_chunk_file(audio, chunk, NO_CONTEXT)
    assert file.path.is_relative_to(scratch)
    wanted = sf.read(recording, start=11, stop=9_000, dtype="float32")[0][:, 1]
    np.testing.assert_array_equal(sf.read(file.path, dtype="float32")[0], wanted)


def test_what_a_program_wrote_is_kept_only_where_that_is_wanted(
    recording: Path, scratch: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "new" / "l'été; $HOME_runner"
    with AudioFile(recording) as audio:
        file = write_chunk_file(audio, chunk_of(0, 100), NO_CONTEXT)
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


@pytest.fixture
def file(recording: Path, scratch: Path) -> ChunkFile:
    with AudioFile(recording) as audio:
        return write_chunk_file(audio, chunk_of(0, 100), NO_CONTEXT)


def test_what_is_no_file_is_left_out_and_told(file: ChunkFile, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (file.output / "a b").mkdir()
    (file.output / "a b" / "x.csv").write_text("found")
    (file.output / "link").symlink_to("a b/x.csv")
    (file.output / "nowhere").symlink_to("gone")
    (file.output / "there").symlink_to("a b")
    os.mkfifo(file.output / "pipe")
    os.mkfifo(os.fsencode(file.output) + b"/p\xff")
    (note,) = file.kept_in(kept).keep_output()
    why = "(not a regular file)"
    names = ["nowhere", "pipe", "p\N{REPLACEMENT CHARACTER}", "there"]
    assert note == f"not kept of the program's files: {', '.join(f'{n} {why}' for n in names)}"
    found = {path.relative_to(kept).as_posix() for path in kept.rglob("*")}
    assert found == {"a b", "a b/x.csv", "link"}
    file.remove()
    assert (kept / "link").read_text() == "found"


def test_no_more_than_five_that_are_left_out_are_named(file: ChunkFile, tmp_path: Path) -> None:
    for number in range(7):
        os.mkfifo(file.output / f"pipe {number}")
    (note,) = file.kept_in(tmp_path / "kept").keep_output()
    assert note.count("not a regular file") == 5
    assert note.endswith("pipe 4 (not a regular file) and 2 more")


def test_a_file_that_cannot_be_read_is_left_out(file: ChunkFile, tmp_path: Path, lacking) -> None:
    unreadable = Path("/proc/self/mem")  # also for root
    if not unreadable.exists():
        lacking(str(unreadable))
    (file.output / "a").symlink_to(unreadable)
    (file.output / "b").write_text("found")
    (note,) = file.kept_in(tmp_path / "kept").keep_output()
    assert note == "not kept of the program's files: a (Input/output error)"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["b"]


def test_a_disk_that_is_full_or_may_not_be_written_is_an_error_that_leaves_what_was_there(
    file: ChunkFile, recording: Path, tmp_path: Path, monkeypatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "old.csv").write_text("old")
    (file.output / "a.csv").write_text("new")
    with pytest.raises(OutputUnwritable):
        file.kept_in(recording / "below a file").keep_output()

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    # In place of a file system of its own, which only root may mount.
    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(StorageFull, match=str(kept)):
        file.kept_in(kept).keep_output()
    assert [path.name for path in kept.iterdir()] == ["old.csv"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_files_of_earlier_results_are_removed_but_for_those_of_this_one(tmp_path: Path) -> None:
    ours, others, elses = (tmp_path / f"c{one}" for one in ("_runner", "_hawkears", "2_hawkears"))
    for folder in (ours, others, elses):
        (folder / "deep").mkdir(parents=True)
    assert forget_output(ours, is_kept=True) == ()
    assert sorted(tmp_path.iterdir()) == [elses, ours]
    assert forget_output(others, is_kept=False) == ()
    assert sorted(tmp_path.iterdir()) == [elses]
    assert forget_output(tmp_path / "none" / "c_runner", is_kept=False) == ()


def test_files_that_cannot_be_removed_are_told_and_cost_nothing(recording: Path) -> None:
    (note, _) = forget_output(recording / "c_runner", is_kept=False)
    assert note.startswith("files of an earlier result are still there: ")


def test_the_same_chunk_may_lie_there_twice_and_is_removed_by_itself(
    recording: Path, scratch: Path
) -> None:
    with AudioFile(recording) as audio:
        first, second = (write_chunk_file(audio, chunk_of(0, 100), NO_CONTEXT) for _ in range(2))
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
            write_chunk_file(audio, beyond, NO_CONTEXT)
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
            write_chunk_file(audio, chunk, NO_CONTEXT)
    assert list(scratch.iterdir()) == []


def test_times_in_the_file_become_samples_of_the_recording() -> None:
    found = [FoundInFile(1.5, 2.25, WREN, 0.5, is_expected=False, occurrence=0.01)]
    (one,) = place_detections(chunk_of(80_000, 120_000), found)
    assert (one.start_sample, one.end_sample) == (92_000, 98_000)
    assert (one.label, one.confidence) == (WREN, 0.5)
    assert (one.is_expected, one.occurrence) == (False, 0.01)


def test_what_begins_in_the_overlap_belongs_to_the_chunk_before() -> None:
    chunk = chunk_of(8000, 24_000, overlap=4000)
    times = [(0.0, 1.0), (0.499, 1.0), (0.5, 1.0), (0.75, 1.0)]
    found = place_detections(chunk, [FoundInFile(start, end, WREN, 0.5) for start, end in times])
    assert [one.start_sample for one in found] == [12_000, 14_000]


def test_a_padded_window_ends_where_the_chunk_does_and_nothing_has_no_length() -> None:
    chunk = chunk_of(0, 16_000)
    times = [(1.5, 4.5), (2.0, 3.0), (1.0, 1.0), (1.0, 1.0001), (1.9999, 3.0), (0.0, 0.001)]
    found = place_detections(chunk, [FoundInFile(start, end, WREN, 0.5) for start, end in times])
    assert [(one.start_sample, one.end_sample) for one in found] == [(0, 8), (12_000, 16_000)]


def test_detections_come_by_start_then_label() -> None:
    times = [(1.0, "b"), (0.5, "c"), (1.0, "a")]
    found = [FoundInFile(start, start + 1, Label(name), 0.5) for start, name in times]
    assert [one.label.name for one in place_detections(chunk_of(0, 80_000), found)] == [
        "c",
        "a",
        "b",
    ]


@given(
    start=st.integers(0, 10**9),
    length=st.integers(1, 10**6),
    overlap=st.floats(0, 0.99),
    rate_hz=st.sampled_from([8000, 22_050, 44_100, 384_000]),
    times=st.lists(st.tuples(st.floats(-1, 200), st.floats(-1, 200)), max_size=5),
)
def test_detections_never_leave_their_chunk(start, length, overlap, rate_hz, times) -> None:
    chunk = Chunk("rec", start, start + length, int(overlap * length), rate_hz)
    for one in place_detections(chunk, [FoundInFile(*time, WREN, 0.5) for time in times]):
        assert chunk.start_sample + chunk.overlap_samples <= one.start_sample
        assert one.start_sample < one.end_sample <= chunk.end_sample
