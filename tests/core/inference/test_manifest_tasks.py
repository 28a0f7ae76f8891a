"""From manifests of every kind to tasks."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.tables import ORIGINAL_COLUMNS, write_rows

from badc_core.audio.channel import EACH, MEAN
from badc_core.audio.reader import AudioFile
from badc_core.chunks.requests import read_requests
from badc_core.engine.protocol import task_from_json, task_to_json
from badc_core.errors import ContentMissing, ManifestMismatch
from badc_core.inference.manifest_tasks import ManifestTask, make_tasks

RATE_HZ = 16_000
OURS = (*ORIGINAL_COLUMNS, "start_frame", "end_frame", "sample_rate", "parent_sha256")


def write_wav(path: Path, length_s: float, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, round(length_s * RATE_HZ))
    sf.write(path, noise, RATE_HZ)
    return path


def tasks_of(manifest: Path, root: Path | None = None) -> tuple[ManifestTask, ...]:
    ((_, requests),) = read_requests([manifest], root).items()
    return make_tasks(requests)


def test_a_virtual_row_is_a_range_of_its_recording(tmp_path):
    write_wav(tmp_path / "Sambaa K'e" / "é, 1.wav", 3.0)
    parent = "ab" * 32
    path = "Sambaa K'e/é, 1.wav"
    frames = ((0, 32_000), (24_000, 48_000))
    rows = [
        ("R", "R_chunk_0_2000", path, 0, 2000, 0, "cd" * 32, "virtual: x", *frames[0]),
        ("R", "R_chunk_1500_3000", path, 1500, 3000, 500, "ef" * 32, "virtual: x", *frames[1]),
    ]
    rows = [(*row, RATE_HZ, parent) for row in rows]
    first, second = tasks_of(write_rows(tmp_path / "m.csv", *rows, columns=OURS))
    assert (first.task.chunk.start_sample, first.task.chunk.end_sample) == (0, 32_000)
    assert (second.task.chunk.start_sample, second.task.chunk.overlap_samples) == (24_000, 8_000)
    assert second.task.n_samples == 48_000
    assert len({first.sound, second.sound}) == 2
    again = tasks_of(write_rows(tmp_path / "m.csv", *rows, columns=OURS))
    assert [one.sound for one in again] == [first.sound, second.sound]
    # What the manifest says of the sound is not believed where the file says otherwise.
    write_wav(tmp_path / path, 3.0, seed=2)
    changed = tasks_of(write_rows(tmp_path / "m.csv", *rows, columns=OURS))
    assert not {one.sound for one in changed} & {first.sound, second.sound}


def test_a_row_of_a_chunk_file_is_that_whole_file(tmp_path):
    write_wav(tmp_path / "c" / "R_chunk_1500_3000.wav", 1.5)
    row = ("R", "R_chunk_1500_3000", "c/R_chunk_1500_3000.wav", 1500, 3000, 500, "ef" * 32)
    manifest = write_rows(
        tmp_path / "m.csv", (*row, "file: WAV", 24_000, 48_000, RATE_HZ, ""), columns=OURS
    )
    (one,) = tasks_of(manifest)
    chunk = one.task.chunk
    assert (chunk.start_sample, chunk.end_sample, one.task.n_samples) == (0, 24_000, 24_000)
    assert (chunk.overlap_samples, chunk.chunk_id) == (8_000, "R_chunk_1500_3000")
    assert task_from_json(task_to_json(one.task)).chunk.end_sample == 24_000


def test_the_originals_chunk_files_are_taken_whole(tmp_path):
    write_wav(tmp_path / "a.wav", 2.0)
    write_wav(tmp_path / "b.wav", 1.02)
    manifest = write_rows(
        tmp_path / "m.csv",
        ("R", "R_chunk_0_2000", "a.wav", "0.0", "2000.0", "", "ab" * 32, ""),
        ("R", "R_chunk_2000_3000", "b.wav", "2000", "3000", "", "cd" * 32, ""),
    )
    first, second = tasks_of(manifest)
    assert (first.task.chunk.end_sample, first.task.n_samples) == (32_000, 32_000)
    assert (second.task.chunk.start_sample, second.task.chunk.end_sample) == (0, 16_320)


def test_the_originals_no_hash_rows_are_ranges_and_not_the_recording_again_and_again(tmp_path):
    write_wav(tmp_path / "rec.wav", 3.0)
    manifest = write_rows(
        tmp_path / "m.csv",
        ("R", "rec_0_1000", "rec.wav", 0, 1000, 0, "TODO_HASH", ""),
        ("R", "rec_1000_2000", "rec.wav", 1000, 2000, 0, "TODO_HASH", ""),
        ("R", "rec_2000_3001", "rec.wav", 2000, 3001, 0, "TODO_HASH", ""),
    )
    tasks = tasks_of(manifest)
    ranges = [(one.task.chunk.start_sample, one.task.chunk.end_sample) for one in tasks]
    assert ranges == [(0, 16_000), (16_000, 32_000), (32_000, 48_000)]
    assert [one.task.chunk.chunk_id for one in tasks] == [
        "rec_0_1000",
        "rec_1000_2000",
        "rec_2000_3001",
    ]
    assert len({one.sound for one in tasks}) == 3
    write_wav(tmp_path / "rec.wav", 3.0, seed=1)
    assert {one.sound for one in tasks_of(manifest)}.isdisjoint(one.sound for one in tasks)


def test_an_overlap_that_is_only_written_down_is_none(tmp_path):
    for name in ("a", "b"):
        write_wav(tmp_path / f"{name}.wav", 2.0)
    manifest = write_rows(
        tmp_path / "m.csv",
        ("R", "R_0", "a.wav", 0, 2000, 3000, "", ""),
        ("R", "R_1", "b.wav", 2000, 4000, 3000, "", ""),
    )
    assert [one.task.chunk.overlap_samples for one in tasks_of(manifest)] == [0, 0]


def test_two_chunks_of_the_same_sound_are_two_chunks(tmp_path):
    for name in ("a", "b"):
        write_wav(tmp_path / f"{name}.wav", 2.0)
    manifest = write_rows(
        tmp_path / "m.csv",
        ("R", "R_0", "a.wav", 0, 2000, 0, "ab" * 32, ""),
        ("R", "R_1", "b.wav", 2000, 4000, 0, "ab" * 32, ""),
    )
    first, second = tasks_of(manifest)
    assert first.sound != second.sound


def test_relative_paths_begin_at_the_dataset_then_beside_the_manifest_then_here(
    tmp_path, monkeypatch
):
    root, here = tmp_path / "ds", tmp_path / "here"
    write_wav(root / "audio" / "a.wav", 1.0)
    write_wav(root / "manifests" / "b.wav", 1.0)
    write_wav(here / "c.wav", 1.0)
    monkeypatch.chdir(here)
    manifest = write_rows(
        root / "manifests" / "m.csv",
        ("R", "a", "audio/a.wav", 0, 1000, 0, "", ""),
        ("R", "b", "b.wav", 1000, 2000, 0, "", ""),
        ("R", "c", "c.wav", 2000, 3000, 0, "", ""),
        ("R", "d", "d.wav", 3000, 4000, 0, "", ""),
    )
    assert [one.task.audio for one in tasks_of(manifest, root)] == [
        root / "audio" / "a.wav",
        root / "manifests" / "b.wav",
        here / "c.wav",
        root / "d.wav",
    ]


@pytest.mark.parametrize("place", ["data/datalad/bogus", "elsewhere/bogus"])
@pytest.mark.parametrize("knows_root", [True, False])
def test_paths_of_the_original_badc_begin_at_its_working_directory(
    tmp_path, monkeypatch, place, knows_root
):
    """Its manifests name `data/datalad/bogus/artifacts/...`, whatever folder one is in today."""
    root = tmp_path / place
    chunk = root / "artifacts" / "chunks" / "REC" / "REC_chunk_0_30000.wav"
    write_wav(chunk, 1.0)
    source_path = f"data/datalad/bogus/{chunk.relative_to(root)}"
    row = ("REC", "REC_chunk_0_30000", source_path, 0, 30_000, 0, "8f" * 32, "")
    manifest = write_rows(root / "manifests" / "REC.csv", row)
    monkeypatch.chdir(tmp_path)
    ((request,),) = read_requests([manifest], root if knows_root else None).values()
    assert request.audio == chunk
    monkeypatch.chdir(root.parent)
    ((request,),) = read_requests([manifest.relative_to(root.parent)]).values()
    assert request.audio == chunk


def test_a_link_keeps_its_own_name(tmp_path):
    write_wav(tmp_path / "objects" / "MD5E-s7--0.wav", 1.0)
    (tmp_path / "rec.wav").symlink_to("objects/MD5E-s7--0.wav")
    (tmp_path / "gone.wav").symlink_to("objects/not fetched")
    manifest = write_rows(
        tmp_path / "m.csv",
        ("R", "a", "rec.wav", 0, 1000, 0, "", ""),
        ("R", "b", "gone.wav", 1000, 2000, 0, "", ""),
    )
    first, second = tasks_of(manifest)
    assert first.task.audio == tmp_path / "rec.wav"
    assert first.task.chunk.recording_id == "R"
    with pytest.raises(ContentMissing):
        AudioFile(second.task.audio)


def test_a_file_that_was_cut_short_is_not_taken_for_its_chunk(tmp_path):
    write_wav(tmp_path / "a.wav", 1.0)
    manifest = write_rows(tmp_path / "m.csv", ("R", "a", "a.wav", 0, 2000, 0, "ab" * 32, ""))
    assert tasks_of(manifest)[0].task.n_samples == 32_000


def test_recordings_keep_their_order_and_rows_are_sorted_by_start(tmp_path):
    manifest = write_rows(
        tmp_path / "m.csv",
        ("B", "B_chunk_5_9", "b.wav", "", "", "", "", ""),
        ("A", "A_chunk_0_5", "a.wav", "", "", "", "", ""),
        ("B", "B_chunk_0_5", "b.wav", "", "", "", "", ""),
    )
    found = read_requests([manifest])
    assert list(found) == ["B", "A"]
    assert [(one.chunk_id, one.line) for one in found["B"]] == [
        ("B_chunk_0_5", 4),
        ("B_chunk_5_9", 2),
    ]


GOOD = ("R", "R_0", "a.wav", 0, 1000, 0, "", "")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "no rows"),
        ([GOOD, GOOD], "line 3: chunk_id R_0 is there already"),
        ([GOOD, ("R", "R_1", "a.wav", 0, 1000, 0, "DRY_RUN", "")], "line 3: sha256 is DRY_RUN"),
        ([("", *GOOD[1:])], "line 2: recording_id: is empty"),
        ([(*GOOD[:2], "", *GOOD[3:])], "line 2: source_path: is empty"),
        ([("../x", *GOOD[1:])], "line 2: recording_id: cannot name files"),
        ([("../../evil", *GOOD[1:])], "line 2: recording_id: cannot name files"),
        ([("R", "a/b", *GOOD[2:])], "line 2: chunk_id: cannot name files"),
        ([("R", ".hidden", *GOOD[2:])], "line 2: chunk_id: cannot name files"),
        ([(*GOOD[:3], "soon", *GOOD[4:])], "line 2: start_ms: is 'soon', not a number"),
        ([(*GOOD[:3], "inf", *GOOD[4:])], "line 2: start_ms: is 'inf', not a number"),
        ([(*GOOD[:3], "9" * 5000, *GOOD[4:])], "line 2: start_ms: is '9999"),
        ([(*GOOD[:4], "1e300", *GOOD[5:])], "line 2: end_ms: is '1e300', out of range"),
        ([(*GOOD[:3], "", *GOOD[4:])], "line 2: start_ms: is empty"),
        ([(*GOOD[:3], 1000, *GOOD[4:])], "line 2: end_ms is 1000, start_ms is 1000"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_by_line(tmp_path, rows, complaint):
    manifest = write_rows(tmp_path / "m.csv", *rows)
    with pytest.raises(ManifestMismatch) as caught:
        read_requests([manifest])
    assert complaint in str(caught.value)
    assert str(manifest) in str(caught.value)


def test_a_manifest_without_a_column_or_a_file_is_refused(tmp_path):
    manifest = write_rows(tmp_path / "m.csv", ("R", "x"), columns=("recording_id", "chunk_id"))
    with pytest.raises(ManifestMismatch, match="no column source_path, start_ms, end_ms"):
        read_requests([manifest])
    with pytest.raises(ManifestMismatch, match="no such file"):
        read_requests([tmp_path / "none.csv"])
    with pytest.raises(ManifestMismatch, match="cannot be read"):
        read_requests([tmp_path])


@pytest.mark.parametrize("rate", ["0", "-1", "0.4"])
def test_a_rate_that_no_sound_has_is_refused(tmp_path, rate):
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "recording_id,chunk_id,source_path,start_ms,end_ms,start_frame,end_frame,sample_rate\n"
        f"R,R_0,a.wav,0,1000,0,1000,{rate}\n"
    )
    with pytest.raises(ManifestMismatch, match=r"line 2: sample_rate is"):
        read_requests([manifest])


def test_a_manifest_may_have_a_byte_order_mark(tmp_path):
    manifest = write_rows(tmp_path / "m.csv", GOOD)
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())
    assert list(read_requests([manifest])) == ["R"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("mean", MEAN), ("first", 0), (2, 1), ("loudest", 1), ("each", EACH), (7, 6)],
)
def test_rows_are_of_the_channel_that_is_wanted_where_their_file_has_several(
    tmp_path, wanted, expected
):
    mono = write_wav(tmp_path / "mono.wav", 2.0)
    sound = sf.read(mono)[0]
    sf.write(tmp_path / "stereo.wav", np.stack([0.9 + sound / 99, sound], 1), RATE_HZ)
    rows = [("R", f"R_{name}", f"{name}.wav", 0, 2000, 0) for name in ("mono", "stereo", "gone")]
    manifest = write_rows(tmp_path / "m.csv", *rows, columns=ORIGINAL_COLUMNS[:6])
    ((_, requests),) = read_requests([manifest], None).items()
    tasks = {one.request.chunk_id: one.task for one in make_tasks(requests, channel=wanted)}
    assert tasks["R_mono"].channel == tasks["R_gone"].channel == MEAN
    assert tasks["R_stereo"].channel == expected
