"""Manifests held against their files: every kind of lie is found, and nothing else."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.tables import ORIGINAL_COLUMNS, rows_of, write_rows

from badc_core.chunks.place import CutRequest
from badc_core.chunks.source import plan_file, write_virtual_manifest
from badc_core.chunks.status import read_status
from badc_core.chunks.validate import check_chunks, validate_manifest
from badc_core.chunks.writer import plan_chunk_files, write_chunks
from badc_core.errors import ManifestMismatch

RATE_HZ = 8000


def record(path: Path, n_s: float = 25.0, rate_hz: int = RATE_HZ, seed: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.random.default_rng(seed).normal(0, 0.1, round(n_s * rate_hz)), rate_hz)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return record(tmp_path / "rec.wav")


@pytest.fixture
def chunks(recording: Path) -> Path:
    """Returns the manifest of three chunk files."""
    return write_chunks(recording, CutRequest(10.0, 1.0, recording.parent / "chunks")).manifest


@pytest.fixture
def virtual(recording: Path) -> Path:
    """Returns the manifest of three chunks without files."""
    manifest = recording.with_name("virtual.csv")
    return write_virtual_manifest(plan_file(recording, 10.0, 1.0), manifest, hash_chunks=False)


def edit(manifest: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    rows = rows_of(manifest)
    columns = list(rows[0])
    change(rows)
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def said(manifest: Path, check_hash: bool = False) -> str:
    return "\n".join(one.what for one in validate_manifest(manifest, check_hash))


def second(manifest: Path) -> Path:
    return manifest.parent / "rec_chunk_9000_19000.wav"


@pytest.mark.parametrize("check_hash", [False, True])
def test_what_was_just_made_is_right(chunks: Path, virtual: Path, check_hash: bool) -> None:
    assert validate_manifest(chunks, check_hash) == []
    assert validate_manifest(virtual, check_hash) == []


def test_a_missing_chunk_file_is_found_and_its_folder_marked_with_the_list(chunks: Path) -> None:
    second(chunks).unlink()
    (problem,) = check_chunks(chunks)
    assert (problem.chunk_id, problem.path) == ("rec_chunk_9000_19000", second(chunks))
    status = read_status(chunks.parent)
    assert status is not None
    assert status.status == "failed"
    assert "rec_chunk_9000_19000: the file is gone" in str(status.error)


def test_validating_alone_marks_nothing(chunks: Path) -> None:
    second(chunks).unlink()
    assert len(validate_manifest(chunks)) == 1
    assert read_status(chunks.parent).status == "completed"


def test_a_chunk_file_cut_short_is_found(chunks: Path) -> None:
    second(chunks).write_bytes(second(chunks).read_bytes()[:-1000])
    assert "truncated" in said(chunks)


def test_a_chunk_file_of_another_length_is_found(chunks: Path) -> None:
    record(second(chunks), 9.0)
    assert said(chunks) == "the manifest counts 80000 samples, the file holds 72000"


def test_a_chunk_file_of_another_rate_is_found(chunks: Path) -> None:
    record(second(chunks), 5.0, 16_000)
    assert "8000 Hz, the file 16000" in said(chunks)


def test_one_changed_bit_is_found_by_hash_only(chunks: Path) -> None:
    content = bytearray(second(chunks).read_bytes())
    content[5000] ^= 1
    second(chunks).write_bytes(content)
    assert said(chunks) == ""
    assert said(chunks, check_hash=True) == "its SHA-256 is not the manifest's"


def test_a_chunk_that_is_elsewhere_is_told_but_not_marked_as_damage(chunks: Path) -> None:
    second(chunks).unlink()
    second(chunks).symlink_to("../../.git/annex/objects/nothing")
    (problem,) = check_chunks(chunks)
    assert "not on this machine" in problem.what
    assert read_status(chunks.parent).status == "completed"


def test_a_recording_replaced_since_is_found(chunks: Path, virtual: Path, recording: Path) -> None:
    record(recording, seed=4)
    for manifest in (chunks, virtual):
        assert said(manifest) == ""
        assert said(manifest, check_hash=True) == "the recording is not the one that was cut"


def test_a_recording_that_grew_is_not_covered(chunks: Path, virtual: Path, recording: Path) -> None:
    record(recording, 26.0)
    for manifest in (chunks, virtual):
        assert said(manifest) == "the chunks end at sample 200000, the recording at 208000"


def test_a_recording_that_shrank_does_not_hold_its_chunks(virtual: Path, recording: Path) -> None:
    record(recording, 24.0)
    assert "it ends at sample 200000, the recording has 192000" in said(virtual)


def test_a_recording_that_is_gone_is_told_once(virtual: Path, recording: Path) -> None:
    recording.unlink()
    (problem,) = validate_manifest(virtual, check_hash=True)
    assert problem.path == recording


def test_chunk_files_are_checked_without_their_recording(chunks: Path, recording: Path) -> None:
    recording.unlink()
    assert said(chunks, check_hash=True) == ""
    edit(chunks, lambda rows: rows.pop())
    assert said(chunks) == "the chunks end at sample 152000, the recording at 200000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(1), "64000 samples before it are in no chunk"),
        (lambda rows: rows.pop(0), "72000 samples before it are in no chunk"),
        (lambda rows: rows.pop(), "the chunks end at sample 152000"),
        (lambda rows: rows[1].update(overlap_ms="999"), "overlap_ms is 999, it shares 1000"),
        (lambda rows: rows[2].update(end_frame="152000"), "holds nothing"),
        (lambda rows: rows[1].update(sample_rate="16000"), "says 16000 Hz"),
    ],
)
def test_rows_that_do_not_cover_the_recording_are_found(
    virtual: Path, change: Callable[[list[dict[str, str]]], object], message: str
) -> None:
    edit(virtual, change)
    assert message in said(virtual)


def test_a_chunk_listed_twice_is_refused(virtual: Path) -> None:
    edit(virtual, lambda rows: rows.append(rows[0]))
    with pytest.raises(ManifestMismatch, match="there already"):
        validate_manifest(virtual)


def test_a_dry_runs_manifest_is_refused_as_what_it_is(recording: Path) -> None:
    manifest = recording.with_name("dry.csv")
    plan_chunk_files(recording, CutRequest(10.0, manifest=manifest))
    with pytest.raises(ManifestMismatch, match="DRY_RUN"):
        validate_manifest(manifest)


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestMismatch):
        validate_manifest(path)


def as_of_old(manifest: Path, **cells: str) -> None:
    """Rewrites a manifest with the columns of the original BADC only."""
    rows = [{**row, "notes": "", **cells} for row in rows_of(manifest)]
    write_rows(manifest, *([row[name] for name in ORIGINAL_COLUMNS] for row in rows))


def test_manifests_of_the_original_badc_are_checked_too(chunks: Path, virtual: Path) -> None:
    as_of_old(chunks)
    assert validate_manifest(chunks, check_hash=False) == []
    second(chunks).unlink()
    assert said(chunks) == "the file is gone"
    as_of_old(virtual, sha256="TODO_HASH", overlap_ms="0")
    assert said(virtual) == ""
    assert said(virtual, check_hash=True) == "the manifest has no hash of the recording"


def test_a_lossless_copy_in_place_of_the_recording_passes_by_its_samples(tmp_path: Path) -> None:
    file = record(tmp_path / "rec.wav")
    manifest = write_virtual_manifest(plan_file(file, 10.0, 1.0), tmp_path / "m.csv", True)
    samples, rate_hz = sf.read(file, dtype="int16")
    sf.write(tmp_path / "copy.flac", samples, rate_hz, subtype="PCM_16")
    edit(manifest, lambda rows: [row.update(source_path="copy.flac") for row in rows])
    assert said(manifest, check_hash=True) == ""
    samples[100_000] += 1
    sf.write(tmp_path / "copy.flac", samples, rate_hz, subtype="PCM_16")
    (problem,) = validate_manifest(manifest, check_hash=True)
    assert problem.chunk_id == "rec_chunk_9000_19000"


def test_a_manifest_beside_its_files_may_move_with_them(tmp_path: Path, recording: Path) -> None:
    manifest = tmp_path / "m.csv"
    write_virtual_manifest(plan_file(recording, 10.0, 0.0), manifest, hash_chunks=False)
    edit(manifest, lambda rows: [row.update(source_path="rec.wav") for row in rows])
    (tmp_path / "elsewhere").mkdir()
    for path in (manifest, recording):
        shutil.move(path, tmp_path / "elsewhere")
    assert said(tmp_path / "elsewhere" / "m.csv", check_hash=True) == ""


def test_a_torn_status_does_not_stop_the_check(chunks: Path) -> None:
    (chunks.parent / ".chunk_status.json").write_text('{"torn')
    second(chunks).unlink()
    assert [one.what for one in check_chunks(chunks)] == ["the file is gone"]


@pytest.mark.parametrize("hash_chunks", [False, True])
def test_a_compressed_recording_with_a_hole_is_found_where_it_breaks(
    tmp_path: Path, hash_chunks: bool
) -> None:
    file = record(tmp_path / "rec.flac", n_s=90.0)
    content = file.read_bytes()
    if hash_chunks:  # which decodes, so that only a whole file gets such a manifest
        manifest = write_virtual_manifest(plan_file(file, 10.0, 0.0), tmp_path / "m.csv", True)
    hole = slice(len(content) // 2, len(content) * 3 // 4)
    file.write_bytes(content[: hole.start] + bytes(hole.stop - hole.start) + content[hole.stop :])
    if not hash_chunks:
        manifest = write_virtual_manifest(plan_file(file, 10.0, 0.0), tmp_path / "m.csv", False)
    assert said(manifest) == ""
    (problem,) = validate_manifest(manifest, check_hash=True)
    assert (problem.chunk_id, problem.path) == ("rec_chunk_40000_50000", file)
    found = re.fullmatch(
        r"decoding stops at (4\d\.\d\d) s of the 90\.00 s its header promises", problem.what
    )
    assert found
    assert 43.5 < float(found[1]) < 45.5


def test_a_compressed_recording_cut_in_half_is_named_without_decoding(tmp_path: Path) -> None:
    file = record(tmp_path / "rec.flac", n_s=90.0)
    manifest = write_virtual_manifest(plan_file(file, 10.0, 0.0), tmp_path / "m.csv", False)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "truncated: its header promises 90.00 s, 4" in said(manifest)
