"""Chunk files: exactly the recording's sound, whole or not there, and never anybody else's."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import rows_of

from badc_core.atomic import replacing
from badc_core.audio.reader import AudioFile
from badc_core.chunks import writer
from badc_core.chunks.place import CutRequest
from badc_core.chunks.plan import Chunk
from badc_core.chunks.sound import choose_wav_subtype, count_passes, read_chunks
from badc_core.chunks.source import plan_file, write_virtual_manifest
from badc_core.chunks.status import read_status
from badc_core.chunks.validate import validate_manifest
from badc_core.chunks.wave_file import WaveForm
from badc_core.chunks.writer import plan_chunk_files, write_chunks
from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    DatasetInvalid,
    StorageFull,
    UnreadableRecording,
)

RATE_HZ = 8000
WIDE = {"PCM_32": "int32", "DOUBLE": "float64", "FLOAT": "float32"}


def noise(n_samples: int, n_channels: int = 1, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n_samples, n_channels))


def record(path: Path, n_s: float = 25.0, n_channels: int = 1, **form: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, noise(round(n_s * RATE_HZ), n_channels), RATE_HZ, **form)
    return path


def cut(file: Path, duration_s: float = 10.0, overlap_s: float = 0.0, **more: object):
    more.setdefault("output_dir", file.parent / "chunks")
    return write_chunks(file, CutRequest(duration_s, overlap_s, **more))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".wav")


def decode(path: Path, dtype: str = "int32") -> np.ndarray:
    return sf.read(path, dtype=dtype, always_2d=True)[0]


@pytest.mark.parametrize(
    ("ending", "subtype", "n_channels"),
    [
        ("wav", "PCM_U8", 1),
        ("wav", "PCM_16", 2),
        ("wav", "PCM_24", 2),
        ("wav", "PCM_32", 3),
        ("wav", "FLOAT", 2),
        ("wav", "DOUBLE", 1),
        ("flac", "PCM_16", 1),
        ("flac", "PCM_24", 2),
        ("aiff", "PCM_24", 1),
    ],
)
def test_a_chunk_file_has_the_channels_the_rate_and_every_bit_of_its_recording(
    tmp_path, ending, subtype, n_channels
):
    file = record(tmp_path / f"rec.{ending}", 12.5, n_channels, subtype=subtype)
    done = cut(file, 5.0)
    # The tail of 2.5 s is shorter than a window and belongs to the chunk before.
    assert files_in(done.folder) == ["rec_chunk_0_5000.wav", "rec_chunk_5000_12500.wav"]
    dtype = WIDE.get(subtype, "int32")
    parts = [sf.SoundFile(done.folder / name) for name in files_in(done.folder)]
    for part in parts:
        assert (part.format, part.subtype) == ("WAV", subtype)
        assert (part.samplerate, part.channels) == (RATE_HZ, n_channels)
        part.close()
    sound = np.concatenate([decode(done.folder / name, dtype) for name in files_in(done.folder)])
    assert np.array_equal(sound, decode(file, dtype))


def test_a_signed_byte_becomes_16_bits_without_loss(tmp_path):
    file = record(tmp_path / "rec.flac", 4.0, subtype="PCM_S8")
    (name,) = files_in(cut(file).folder)
    path = tmp_path / "chunks" / "rec" / name
    assert sf.info(path).subtype == "PCM_16"
    assert np.array_equal(decode(path), decode(file))


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
@pytest.mark.parametrize("overlap_s", [0.0, 2.5, 8.0])
def test_a_compressed_recording_is_cut_as_a_full_decode_gives_it(tmp_path, ending, overlap_s):
    file = record(tmp_path / f"rec.{ending}", 25.0, 2)
    done = cut(file, 10.0, overlap_s)
    with AudioFile(file) as audio:
        whole = np.concatenate(list(audio.blocks()))
    for row in rows_of(done.manifest):
        path = done.folder / f"{row['chunk_id']}.wav"
        expected = whole[int(row["start_frame"]) : int(row["end_frame"])]
        assert np.array_equal(decode(path, "float32"), expected)
        assert sf.info(path).subtype == "FLOAT"


@st.composite
def cuts(draw):
    n_samples = draw(st.integers(RATE_HZ // 1000, 40_000))
    duration_s = draw(st.floats(0.3, 6.0))
    overlap_s = draw(st.sampled_from([0.0, 0.25, 0.5, 0.9])) * duration_s
    form = draw(st.sampled_from(["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE"]))
    return n_samples, draw(st.integers(1, 3)), duration_s, overlap_s, form


@settings(max_examples=25)
@given(cuts())
def test_chunks_without_what_they_share_are_the_recording_exactly(case):
    n_samples, n_channels, duration_s, overlap_s, form = case
    with tempfile.TemporaryDirectory(prefix="chunkcli_") as folder:
        file = Path(folder) / "rec.wav"
        sf.write(file, noise(n_samples, n_channels), RATE_HZ, subtype=form)
        done = cut(file, duration_s, overlap_s)
        assert validate_manifest(done.manifest, check_hash=True) == []
        dtype = WIDE.get(form, "int32")
        reached, parts = 0, []
        for row in rows_of(done.manifest):
            sound = decode(done.folder / f"{row['chunk_id']}.wav", dtype)
            assert len(sound) == int(row["end_frame"]) - int(row["start_frame"])
            parts.append(sound[reached - int(row["start_frame"]) :])
            reached = int(row["end_frame"])
        assert np.array_equal(np.concatenate(parts), decode(file, dtype))


@given(st.integers(1, 50), st.integers(1, 30), st.integers(0, 29))
def test_no_pass_over_a_file_goes_back(n_chunks, duration, overlap):
    step = max(1, duration - overlap)
    chunks = [Chunk("rec", i * step, i * step + duration, 0, 1) for i in range(n_chunks)]
    n_passes = count_passes(chunks)
    for number in range(n_passes):
        lane = chunks[number::n_passes]
        assert all(a.end_sample <= b.start_sample for a, b in pairwise(lane))
    sound = np.arange(n_chunks * step + duration)[:, np.newaxis]

    def blocks():
        yield from np.array_split(sound, 7)

    for chunk, pieces in read_chunks(blocks, chunks):
        heard = np.concatenate(list(pieces))[:, 0]
        assert np.array_equal(heard, np.arange(chunk.start_sample, chunk.end_sample))


def test_the_manifest_leads_to_the_files_and_says_what_they_are(tmp_path):
    file = record(tmp_path / "rec.flac", 25.0, 2, subtype="PCM_24")
    done = cut(file, 10.0, 2.0)
    rows = rows_of(done.manifest)
    assert [(row["start_ms"], row["end_ms"], row["overlap_ms"]) for row in rows] == [
        ("0", "10000", "0"), ("8000", "18000", "2000"), ("16000", "25000", "2000")
    ]  # fmt: skip
    for row in rows:
        path = Path(row["source_path"])
        assert path == done.folder / f"{row['chunk_id']}.wav"
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["notes"].startswith("file:")
        assert row["parent_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (row["sample_rate"], row["channels"], row["subtype"]) == ("8000", "2", "PCM_24")
        assert int(row["start_frame"]) == int(row["start_ms"]) * 8


def test_equal_sound_gives_equal_bytes_whenever_it_is_cut(tmp_path):
    file = record(tmp_path / "rec.wav", 4.0, subtype="FLOAT")
    first = cut(file, output_dir=tmp_path / "a")
    time.sleep(1.1)
    second = cut(file, output_dir=tmp_path / "b")
    hashes = [[row["sha256"] for row in rows_of(one.manifest)] for one in (first, second)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    "name", ["Sambaa K'e.wav", '-a "b".wav', "$(reboot); echo.wav", "été.flac", "a\nb.wav"]
)
def test_any_name_can_be_cut(tmp_path, name):
    file = record(tmp_path / "l'été $HOME" / name, 7.0)
    done = cut(file, 3.0)
    assert validate_manifest(done.manifest, check_hash=True) == []
    assert all(path.name.startswith(done.recording_id) for path in done.folder.glob("*.wav"))
    status = read_status(done.folder)
    assert status is not None
    assert status.audio_path == str(file)


def test_a_name_that_is_not_utf_8_is_refused_and_shown(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.wav")
    with pytest.raises(DatasetInvalid, match=r"caf\\xe9"):
        cut(file)


def test_an_annexed_file_keeps_its_own_name(tmp_path):
    key = record(tmp_path / ".git/annex/objects/MD5E-s105842246--0123.wav", 4.0)
    (tmp_path / "audio").mkdir()
    link = tmp_path / "audio" / "dawn.wav"
    link.symlink_to(os.path.relpath(key, link.parent))
    assert files_in(cut(link).folder) == ["dawn_chunk_0_4000.wav"]


def test_a_folder_named_for_the_recording_is_not_doubled(tmp_path):
    file = record(tmp_path / "rec.wav", 4.0)
    assert cut(file, output_dir=tmp_path / "out" / "rec").folder == tmp_path / "out" / "rec"
    assert cut(file, output_dir=tmp_path / "out").folder == tmp_path / "out" / "rec"


def make_dataset(root: Path) -> Path:
    (root / "audio").mkdir(parents=True)
    (root / "badc.toml").touch()
    return root


def test_in_a_dataset_the_registered_name_and_relative_paths_are_used(tmp_path):
    root = make_dataset(tmp_path / "data set")
    file = record(root / "audio" / "S1" / "dawn.wav", 4.0)
    table = "recording_id,path,size_bytes,modified_ns,fingerprint\nS1__dawn,audio/S1/dawn.wav,,,\n"
    (root / "recordings.csv").write_text(table)
    done = write_chunks(file, CutRequest(10.0))
    assert done.folder == root / "artifacts" / "chunks" / "S1__dawn"
    (row,) = rows_of(done.manifest)
    path = "artifacts/chunks/S1__dawn/S1__dawn_chunk_0_4000.wav"
    assert (row["recording_id"], row["source_path"]) == ("S1__dawn", path)
    status = read_status(done.folder)
    assert status is not None
    assert status.audio_path == "audio/S1/dawn.wav"
    moved = tmp_path / "moved"
    root.rename(moved)
    assert validate_manifest(moved / done.manifest.relative_to(root), check_hash=True) == []


def test_files_not_yet_registered_are_named_as_a_scan_would_name_them(tmp_path):
    root = make_dataset(tmp_path)
    files = [record(root / "audio" / station / "dawn.wav", 4.0) for station in ("S1", "S2")]
    ids = [write_chunks(file, CutRequest(10.0)).recording_id for file in files]
    assert ids == ["S1__dawn", "S2__dawn"]


def test_two_files_of_one_name_never_share_a_folder(tmp_path):
    first = record(tmp_path / "a" / "dawn.wav", 4.0)
    second = record(tmp_path / "b" / "dawn.wav", 4.0)
    done = cut(first, output_dir=tmp_path / "out")
    with pytest.raises(ConfigInvalid, match="--output-dir"):
        cut(second, output_dir=tmp_path / "out")
    assert validate_manifest(done.manifest, check_hash=True) == []


def test_a_second_run_finds_everything_done_and_touches_nothing(tmp_path):
    file = record(tmp_path / "rec.wav")
    done = cut(file)
    before = {path: path.stat().st_mtime_ns for path in done.folder.iterdir()}
    again = cut(file)
    assert (again.n_chunks, again.n_written) == (3, 0)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_chunks_outlive_the_recordings_content(tmp_path):
    key = record(tmp_path / "annex" / "key.wav")
    link = tmp_path / "rec.wav"
    link.symlink_to(key)
    cut(link)
    key.unlink()
    assert cut(link).n_written == 0
    with pytest.raises(ContentMissing):
        cut(link, 5.0)


def test_a_second_run_asked_to_writes_everything_again(tmp_path):
    file = record(tmp_path / "rec.wav")
    assert cut(file).n_written == 3
    assert cut(file, include_existing=True).n_written == 3


def test_chunks_of_other_settings_go_and_what_is_not_ours_stays(tmp_path):
    file = record(tmp_path / "rec.wav")
    folder = cut(file, 10.0).folder
    strangers = ["rec_chunk_old.wav", "other_chunk_0_10000.wav", "notes.txt"]
    for name in strangers:
        (folder / name).write_text("mine")
    done = cut(file, 6.0)
    assert done.n_removed == 3
    ours = {f"{row['chunk_id']}.wav" for row in rows_of(done.manifest)}
    assert set(files_in(folder)) == ours | set(strangers[:2])
    assert (folder / "notes.txt").exists()
    assert validate_manifest(done.manifest) == []


@pytest.mark.parametrize("damage", ["gone", "short", "flipped"])
def test_only_the_damaged_chunk_is_written_again(tmp_path, damage):
    file = record(tmp_path / "rec.wav")
    done = cut(file)
    path = done.folder / "rec_chunk_10000_20000.wav"
    good = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "short":
        path.write_bytes(good[:-100])
    else:
        path.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
        status = read_status(done.folder)
        assert status is not None
        status.fail("its hash is wrong").write(done.folder)
    assert cut(file).n_written == 1
    assert path.read_bytes() == good


def test_a_recording_that_changed_is_cut_anew(tmp_path):
    file = record(tmp_path / "rec.wav")
    old = [row["sha256"] for row in rows_of(cut(file).manifest)]
    sf.write(file, noise(25 * RATE_HZ, seed=8), RATE_HZ)
    done = cut(file)
    assert done.n_written == 3
    assert not set(old) & {row["sha256"] for row in rows_of(done.manifest)}
    assert validate_manifest(done.manifest, check_hash=True) == []


def test_what_a_run_of_other_sound_left_is_never_taken_for_this_ones(tmp_path, monkeypatch):
    file = record(tmp_path / "rec.wav")
    folder = cut(file).folder
    sf.write(file, noise(25 * RATE_HZ, seed=8), RATE_HZ)

    def stop(*_):
        raise KeyboardInterrupt

    # A process that dies at the worst moment: the status is new, the files are still the old.
    monkeypatch.setattr(writer, "open_source", stop)
    with pytest.raises(KeyboardInterrupt):
        cut(file)
    monkeypatch.undo()
    assert read_status(folder).status == "failed"
    done = cut(file)
    assert done.n_written == 3
    assert validate_manifest(done.manifest, check_hash=True) == []


def test_a_killed_run_leaves_only_whole_chunks_and_is_taken_up(tmp_path):
    file = record(tmp_path / "rec.wav", 300.0, 2)
    folder = tmp_path / "chunks" / "rec"
    code = (
        "import sys; from pathlib import Path; from badc_core.chunks.writer import write_chunks; "
        "from badc_core.chunks.place import CutRequest; "
        "write_chunks(Path(sys.argv[1]), CutRequest(1.0, 0.5, Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(file), str(folder.parent)]
    with subprocess.Popen(command) as process:
        while process.poll() is None and not (folder.is_dir() and len(files_in(folder)) > 3):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert read_status(folder).status == "in_progress"
    left = files_in(folder)
    for name in left:
        start_ms, end_ms = map(int, Path(name).stem.split("_")[-2:])
        assert np.array_equal(decode(folder / name), decode(file)[start_ms * 8 : end_ms * 8])
    (folder / ".rec_chunk_0_1000.wav.1-abcd.part").touch()
    done = cut(file, 1.0, 0.5)
    assert done.n_written == done.n_chunks - len(left)
    assert list(folder.glob("*.part")) + list(folder.glob(".*.part")) == []
    assert validate_manifest(done.manifest, check_hash=True) == []
    assert read_status(folder).status == "completed"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"It rained all night", "not audio"), (bytes(5000), "nothing but zeros")],
)
def test_what_is_no_recording_is_a_failure_with_a_reason(tmp_path, content, message):
    file = tmp_path / "rec.wav"
    file.write_bytes(content)
    with pytest.raises(UnreadableRecording, match=message):
        cut(file)
    status = read_status(tmp_path / "chunks" / "rec")
    assert status is not None
    assert status.status == "failed"
    assert message in str(status.error)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_truncated_recording_fails_and_leaves_no_half_chunk(tmp_path, ending):
    file = record(tmp_path / f"rec.{ending}", 60.0)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    with pytest.raises(UnreadableRecording):
        cut(file)
    folder = tmp_path / "chunks" / "rec"
    assert read_status(folder).status == "failed"
    assert not (folder / "rec.csv").exists()
    assert [len(decode(folder / name)) for name in files_in(folder)] == [80_000] * len(
        files_in(folder)
    )
    assert not list(folder.glob(".*.part"))


def test_a_file_that_is_not_there_leaves_nothing_behind(tmp_path):
    with pytest.raises(ContentMissing):
        cut(tmp_path / "typo.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_called_one_and_the_next_run_goes_on(tmp_path, monkeypatch, lacking):
    full = Path("/dev/full")
    if not full.exists():
        lacking("/dev/full")
    file = record(tmp_path / "rec.wav")

    @contextmanager
    def onto_a_full_disk(path):
        with replacing(path) as aside:
            if "_10000_" in path.name:
                aside.symlink_to(full)
            yield aside

    # Only the kernel's own full disk is put under the second chunk; nothing else is replaced.
    monkeypatch.setattr(writer, "replacing", onto_a_full_disk)
    with pytest.raises(StorageFull):
        cut(file)
    folder = tmp_path / "chunks" / "rec"
    assert "no space left" in str(read_status(folder).error)
    assert files_in(folder) == ["rec_chunk_0_10000.wav"]
    monkeypatch.undo()
    assert cut(file).n_written == 2


@pytest.mark.parametrize(("duration_s", "overlap_s"), [(0, 0), (-1, 0), (10, 10), (10, 11)])
def test_settings_that_cannot_be_used_are_refused(tmp_path, duration_s, overlap_s):
    file = record(tmp_path / "rec.wav", 4.0)
    with pytest.raises(ConfigInvalid, match="chunk-duration"):
        cut(file, duration_s, overlap_s)


def test_a_dry_run_writes_the_rows_of_the_real_one_and_nothing_else(tmp_path):
    file = record(tmp_path / "rec.wav")
    request = CutRequest(10.0, 3.0, tmp_path / "chunks", tmp_path / "rec.csv")
    plan_chunk_files(file, request)
    dry = rows_of(tmp_path / "rec.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rec.csv", "rec.wav"]
    write_chunks(file, request)
    real = rows_of(tmp_path / "rec.csv")
    assert {row["sha256"] for row in dry} == {"DRY_RUN"}
    for row in (*dry, *real):
        row.pop("sha256")
    assert dry == real


def test_virtual_and_real_chunks_have_the_same_names_and_frames(tmp_path):
    file = record(tmp_path / "rec.flac")
    real = rows_of(cut(file, 7.0, 1.0).manifest)
    virtual = rows_of(
        write_virtual_manifest(plan_file(file, 7.0, 1.0), tmp_path / "m.csv", hash_chunks=False)
    )
    same = ("recording_id", "chunk_id", "start_ms", "end_ms", "overlap_ms", "start_frame")
    assert [[row[name] for name in same] for row in real] == [
        [row[name] for name in same] for row in virtual
    ]
    assert {row["source_path"] for row in virtual} == {str(file)}
    assert all(row["notes"].startswith("virtual:") for row in virtual)


def test_hashes_of_samples_are_the_same_for_a_lossless_copy(tmp_path):
    wav = record(tmp_path / "a" / "rec.wav", 25.0, 2, subtype="PCM_24")
    flac = tmp_path / "b" / "rec.flac"
    flac.parent.mkdir()
    sf.write(flac, decode(wav), RATE_HZ, subtype="PCM_24")
    hashes = []
    for file in (wav, flac):
        source = plan_file(file, 10.0, 4.0)
        manifest = write_virtual_manifest(source, file.with_suffix(".csv"), hash_chunks=True)
        hashes.append([row["sha256"] for row in rows_of(manifest)])
        assert validate_manifest(manifest, check_hash=True) == []
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 4


@pytest.mark.parametrize(
    ("subtype", "expected"),
    [("PCM_S8", "PCM_16"), ("VORBIS", "FLOAT"), ("MPEG_LAYER_III", "FLOAT"), ("ULAW", "PCM_16")],
)
def test_formats_a_wav_does_not_hold_become_the_smallest_that_loses_nothing(subtype, expected):
    assert choose_wav_subtype(subtype) == expected


def test_a_chunk_beyond_4_gib_gets_the_header_of_a_long_file():
    form = WaveForm(96_000, 2, 96_000 * 3600 * 4, "PCM_24")
    assert form.header()[:4] == b"RF64"
    assert form.file_bytes == len(form.header()) + form.data_bytes > 1 << 32


def test_a_long_files_header_is_understood_by_libsndfile(tmp_path):
    form = WaveForm(RATE_HZ, 1, (1 << 31) + 5, "PCM_16")
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(form.header())
        file.truncate(form.file_bytes)
    assert sf.info(path).frames == form.n_samples
    with AudioFile(path) as audio:
        assert audio.n_samples == form.n_samples


def test_two_processes_at_one_recording_take_turns(tmp_path):
    file = record(tmp_path / "rec.wav", 60.0)
    code = (
        "import sys; from pathlib import Path; from badc_core.chunks.writer import write_chunks; "
        "from badc_core.chunks.place import CutRequest; "
        "print(write_chunks(Path(sys.argv[1]), CutRequest(3.0, 0, Path(sys.argv[2]))).n_written)"
    )
    command = [sys.executable, "-c", code, str(file), str(tmp_path / "chunks")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = sorted(int(process.communicate()[0]) for process in both)
    assert counts == [0, 20]


def test_the_status_of_a_finished_recording_has_every_field_of_the_format(tmp_path):
    done = cut(record(tmp_path / "rec.wav"))
    content = json.loads((done.folder / ".chunk_status.json").read_text())
    expected = (
        "recording_id,audio_path,chunk_output_dir,manifest_path,chunk_duration,overlap,updated_at,"
        "status,started_at,completed_at,manifest_rows,duration_s"
    )
    assert set(expected.split(",")) <= set(content)
    assert "error" not in content
    assert (content["manifest_rows"], content["duration_s"]) == (3, 25.0)
