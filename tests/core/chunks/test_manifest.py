import csv
from dataclasses import replace
from pathlib import Path

import pytest

from badc_core.chunks.manifest import chunk_sha256, read_manifest, write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, ManifestMismatch
from badc_core.recordings.recording import Recording

RATE_HZ = 44_100
HOSTILE_PATHS = [
    "audio/Sambaa K'e/dawn chorus.wav",
    'audio/a "quoted", name.wav',
    "audio/$(reboot); echo.wav",
    "audio/été/Düne,1.wav",
    "audio/two\nlines.wav",
    "audio/=HYPERLINK(A1).wav",
]


def describe(path: str = "audio/rec.wav", n_s: float = 180.0, sha256: str = "ab" * 32) -> Recording:
    return Recording(
        recording_id="rec",
        path=path,
        size_bytes=1,
        sha256=sha256,
        fingerprint="x",
        audio_format="WAV",
        subtype="PCM_16",
        sample_rate_hz=RATE_HZ,
        n_channels=2,
        n_samples=round(n_s * RATE_HZ),
        rms_dbfs=-40.0,
        peak_dbfs=-3.0,
        clipped_fraction=0.0,
        is_silent=False,
        channels=(),
    )


def open_dataset(root: Path, recording: Recording, **chunks: float) -> Dataset:
    (root / "audio").mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(root, {"chunks": chunks})
    recording.write(dataset.recording("rec"))
    return dataset


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def rewrite(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Returns the manifest of three chunks of a minute."""
    return write_manifest(open_dataset(tmp_path, describe()), "rec").path


def test_the_columns_are_those_of_badc_and_ours_after_them(manifest: Path) -> None:
    assert rows_of(manifest)[0] == [
        *("recording_id", "chunk_id", "source_path", "start_ms", "end_ms", "overlap_ms"),
        *("sha256", "notes"),
        *("start_frame", "end_frame", "sample_rate", "channels", "subtype", "parent_sha256"),
    ]


def test_a_row_says_where_its_chunk_lies_in_which_file(manifest: Path) -> None:
    with manifest.open(newline="", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[1]
    assert manifest.name == "rec.csv"
    assert row.pop("notes").startswith("virtual")
    assert len(row.pop("sha256")) == 64
    assert row == {
        "recording_id": "rec",
        "chunk_id": "rec_chunk_60000_120000",
        "source_path": "audio/rec.wav",
        "start_ms": "60000",
        "end_ms": "120000",
        "overlap_ms": "0",
        "start_frame": "2646000",
        "end_frame": "5292000",
        "sample_rate": "44100",
        "channels": "2",
        "subtype": "PCM_16",
        "parent_sha256": "ab" * 32,
    }


@pytest.mark.parametrize(
    "chunks",
    [
        {},
        {"duration_s": 7.3},
        {"duration_s": 10.0, "overlap_s": 1.2345},
        {"duration_s": 3.0, "overlap_s": 2.98765, "min_chunk_s": 0.0},
        {"duration_s": 1000.0},
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, chunks: dict[str, float]) -> None:
    recording = describe(n_s=31.41593)
    written = write_manifest(open_dataset(tmp_path, recording, **chunks), "rec")
    assert read_manifest(written.path, recording) == written


def test_overlap_off_the_millisecond_grid_is_exact_in_frames(tmp_path: Path) -> None:
    recording = describe(n_s=30)
    dataset = open_dataset(tmp_path, recording, duration_s=10.0, overlap_s=1.2345)
    chunks = read_manifest(write_manifest(dataset, "rec").path, recording).chunks
    assert {chunk.overlap_samples for chunk in chunks[1:]} == {round(1.2345 * RATE_HZ)}
    assert chunks[1].start_sample == 441_000 - round(1.2345 * RATE_HZ)
    assert chunks[1].overlap_ms == 1234


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_any_file_name_survives_the_manifest(tmp_path: Path, path: str) -> None:
    recording = describe(path=path)
    root = tmp_path / "l'été; echo $HOME"
    written = write_manifest(open_dataset(root, recording), "rec")
    assert read_manifest(written.path, recording) == written
    assert {row[2] for row in rows_of(written.path)[1:]} == {path}


def test_the_manifest_is_the_same_bytes_every_time(tmp_path: Path, manifest: Path) -> None:
    before = manifest.read_bytes()
    write_manifest(open_dataset(tmp_path, describe()), "rec")
    assert manifest.read_bytes() == before


def test_a_chunk_of_other_audio_or_another_range_has_another_hash(manifest: Path) -> None:
    first, second, _ = read_manifest(manifest, describe()).chunks
    hashes = {
        chunk_sha256("ab" * 32, first),
        chunk_sha256("ab" * 32, second),
        chunk_sha256("cd" * 32, first),
        chunk_sha256("ab" * 32, replace(first, end_sample=first.end_sample - 1)),
    }
    assert len(hashes) == 4


def test_a_recording_nobody_described_cannot_be_cut(tmp_path: Path) -> None:
    dataset = open_dataset(tmp_path, describe())
    with pytest.raises(DatasetInvalid, match="not been described yet"):
        write_manifest(dataset, "other")


def test_an_absent_manifest_says_so_and_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ManifestMismatch, match=r"no manifest yet.*badc run"):
        read_manifest(tmp_path / "rec.csv", describe())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a chunk manifest"),
        (b"\xff\xfe\x00binary", "not a chunk manifest"),
        (b"a,b\n1,2\n", "not a chunk manifest"),
        (b'"' + b"x" * 200_000, "not a chunk manifest"),
        (b"parent_sha256,start_frame,end_frame\nab,zero,1\n", "not a chunk manifest"),
        (b"recording_id,start_frame,end_frame,sample_rate,parent_sha256\nrec,0\n", "not a chunk"),
    ],
)
def test_a_malformed_manifest_names_itself(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rec.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestMismatch, match=message) as caught:
        read_manifest(path, describe())
    assert caught.value.where == str(path)


def test_a_manifest_without_chunks_is_refused(manifest: Path) -> None:
    rewrite(manifest, rows_of(manifest)[:1])
    with pytest.raises(ManifestMismatch, match="no rows"):
        read_manifest(manifest, describe())


def test_the_manifest_of_another_recording_is_refused(manifest: Path) -> None:
    other = replace(describe(), recording_id="other")
    with pytest.raises(ManifestMismatch, match=r"manifest of another recording, rec\. "):
        read_manifest(manifest, other)


def test_a_manifest_of_other_audio_is_refused(manifest: Path) -> None:
    with pytest.raises(ManifestMismatch, match="other audio"):
        read_manifest(manifest, describe(sha256="cd" * 32))


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_missing_row_is_noticed(manifest: Path, gone: int) -> None:
    rows = rows_of(manifest)
    del rows[gone]
    rewrite(manifest, rows)
    with pytest.raises(ManifestMismatch, match=r"does not follow|covers"):
        read_manifest(manifest, describe())


@pytest.mark.parametrize("overlap_s", [0.0, 5.0, 45.0])
@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 3), (1, 3)])
def test_rows_in_another_order_are_noticed(
    tmp_path: Path, overlap_s: float, one: int, other: int
) -> None:
    manifest = write_manifest(open_dataset(tmp_path, describe(), overlap_s=overlap_s), "rec").path
    rows = rows_of(manifest)
    rows[one], rows[other] = rows[other], rows[one]
    rewrite(manifest, rows)
    with pytest.raises(ManifestMismatch, match=r"does not follow|nothing new"):
        read_manifest(manifest, describe())


def test_a_chunk_listed_twice_is_noticed(manifest: Path) -> None:
    rows = rows_of(manifest)
    rewrite(manifest, [*rows[:3], rows[2], *rows[3:]])
    with pytest.raises(ManifestMismatch, match="does not follow"):
        read_manifest(manifest, describe())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, "other"),
        (8, "-1"),
        (8, "0"),
        (8, "2646001"),
        (9, "5291999"),
        (9, "2646000"),
        (10, "8000"),
    ],
)
def test_a_changed_number_or_name_is_noticed(manifest: Path, column: int, value: str) -> None:
    rows = rows_of(manifest)
    rows[2][column] = value
    rewrite(manifest, rows)
    with pytest.raises(ManifestMismatch):
        read_manifest(manifest, describe())


def test_a_manifest_for_a_recording_of_another_length_is_refused(manifest: Path) -> None:
    longer = replace(describe(), n_samples=describe().n_samples + 1)
    with pytest.raises(ManifestMismatch, match="covers 7938000 of the recording's 7938001"):
        read_manifest(manifest, longer)
