"""Chunks' JSON files: ours, and those of the original BADC."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from badc_core.chunks.plan import Chunk
from badc_core.datasets.dataset import InferencePaths
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import DetectionsInvalid, DetectorFailed
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.inference.chunk_output import parse_times, read_chunk_json

IDENTITY = DetectorIdentity("band_energy", "1", None, "MIT", 3.0)
NAME = "Sambaa K'e, été"
CHUNK = Chunk(NAME, 32_000, 64_000, 16_000, 16_000)
ORIGIN = ChunkOrigin(CHUNK.chunk_id, NAME, "/audio/é 1.wav", 2000, 4000, 1000)
FOUND = Detection(40_000, 56_001, Label("Owl, Great Horned", "GHOW", "Bubo virginianus"), 0.75)


def result_of(*found: Detection, error: DetectorFailed | None = None) -> ChunkResult:
    return ChunkResult(ChunkTask(Path("/audio/é 1.wav"), 64_000, CHUNK), found, error, 1.0, "cpu-0")


@pytest.fixture
def paths(tmp_path: Path) -> InferencePaths:
    return InferencePaths(tmp_path / "infer")


def test_a_file_has_the_originals_keys_and_counts_from_the_chunks_start(paths):
    path = write_chunk_json(paths, result_of(FOUND), IDENTITY, ORIGIN)
    assert path == paths.folder / NAME / f"{NAME}_chunk_2000_4000.json"
    content = json.loads(path.read_text())
    assert content == {
        "chunk_id": CHUNK.chunk_id,
        "recording_id": NAME,
        "source_path": "/audio/é 1.wav",
        "status": "ok",
        "detections": [
            {
                "timestamp_ms": 500,
                "end_ms": 1500,
                "label": "GHOW",
                "label_code": "GHOW",
                "label_name": "Owl, Great Horned",
                "scientific_name": "Bubo virginianus",
                "confidence": 0.75,
            }
        ],
        "chunk": {"start_ms": 2000, "end_ms": 4000, "overlap_ms": 1000, "sha256": "", "notes": ""},
        "runner": "band_energy",
        "model_version": "1",
    }


def test_a_file_is_read_back_as_it_was_written(paths):
    origin = ChunkOrigin("x_0_1", NAME, "é, 1.wav", 0, 1, 0, "ab", "virtual: …", "l'été", "c0")
    found = replace(FOUND, is_expected=False, occurrence=0.125)
    read = read_chunk_json(write_chunk_json(paths, result_of(found), IDENTITY, origin))
    assert read.origin == origin
    assert (read.status, read.runner, read.model_version) == ("ok", "band_energy", "1")
    one = read.detections[0]
    assert (one.timestamp_ms, one.end_ms, one.label, one.label_name) == (
        *(500, 1500),
        *("GHOW", "Owl, Great Horned"),
    )
    assert (one.scientific_name, one.confidence) == ("Bubo virginianus", 0.75)
    assert (one.is_expected, one.occurrence) == (False, 0.125)


@pytest.mark.parametrize(
    ("label", "shown"),
    [(Label("Loon", "COLO"), "COLO"), (Label("Loon"), "Loon"), (Label(""), "unknown")],
)
def test_a_label_is_the_code_else_the_name_else_unknown(paths, label, shown):
    read = read_chunk_json(
        write_chunk_json(paths, result_of(replace(FOUND, label=label)), IDENTITY, ORIGIN)
    )
    assert read.detections[0].label == shown


def test_a_chunk_without_detections_and_a_failed_one_say_so(paths):
    assert (
        read_chunk_json(write_chunk_json(paths, result_of(), IDENTITY, ORIGIN)).status
        == "no_detections"
    )
    failed = result_of(error=DetectorFailed("no luck", CHUNK.chunk_id))
    read = read_chunk_json(write_chunk_json(paths, failed, IDENTITY, ORIGIN))
    assert read.status == "error"
    assert "no luck" in read.error


def test_a_file_that_says_the_same_already_is_not_written_again(paths):
    path = write_chunk_json(paths, result_of(FOUND), IDENTITY, ORIGIN)
    before = path.stat()
    write_chunk_json(paths, result_of(FOUND), IDENTITY, ORIGIN)
    assert path.stat().st_ino == before.st_ino
    write_chunk_json(paths, result_of(), IDENTITY, ORIGIN)
    assert path.stat().st_ino != before.st_ino


def test_a_folder_named_for_the_recording_is_not_doubled(tmp_path):
    paths = InferencePaths(tmp_path / NAME)
    assert write_chunk_json(paths, result_of(), IDENTITY, ORIGIN).parent == tmp_path / NAME


def test_the_originals_files_are_read(tmp_path):
    path = tmp_path / "REC" / "REC_chunk_60000_120000.json"
    path.parent.mkdir()
    stub = {
        "chunk_id": "REC_chunk_60000_120000",
        "recording_id": "REC",
        "source_path": "chunks/REC_chunk_60000_120000.wav",
        "status": "stub",
        "detections": [{"timestamp_ms": 0.0, "label": "stub", "confidence": 1}],
        "chunk": {"start_ms": 60000.0, "end_ms": None, "overlap_ms": "", "sha256": None},
        "runner": "stub",
        "meta": {"attempt": 1},
    }
    del stub["chunk"]["overlap_ms"]
    path.write_text(json.dumps(stub))
    read = read_chunk_json(path)
    assert (read.status, read.origin.start_ms, read.origin.end_ms) == ("stub", 60_000, 120_000)
    assert (read.detections[0].end_ms, read.detections[0].label) == (None, "stub")
    path.write_text('{"chunk_id": "REC_chunk_60000_120000", "status": "no_output"}')
    read = read_chunk_json(path)
    assert (read.origin.recording_id, read.detections) == ("REC", ())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("{}", "chunk_id is missing"),
        ('{"chunk_id": 7}', "chunk_id: must be text, not 7"),
        (
            '{"chunk_id": "a", "status": "fine"}',
            "status: must be 'ok', 'no_detections', 'error', 'no_output' or 'stub', not 'fine'",
        ),
        ('{"chunk_id": "a", "detections": {}}', "detections: must be a list, not {}"),
        ('{"chunk_id": "a", "detections": [3]}', "detections[0]: must be an object, not 3"),
        ('{"chunk_id": "a", "detections": [{"confidence": 1}]}', "[0].timestamp_ms is missing"),
        (
            '{"chunk_id": "a", "detections": [{"timestamp_ms": 1, "confidence": 2}]}',
            "detections[0].confidence: must be less than or equal to 1, not 2",
        ),
        (
            '{"chunk_id": "a", "chunk": {"start_ms": "x"}}',
            "chunk.start_ms: must be a whole number, not 'x'",
        ),
        (
            '{"chunk_id": "a", "chunk": {"start_ms": NaN}}',
            "chunk.start_ms: must be a whole number, not nan",
        ),
    ],
)
def test_a_malformed_file_is_refused_by_name_and_key(tmp_path, content, complaint):
    path = tmp_path / "one.json"
    path.write_text(content)
    with pytest.raises(DetectionsInvalid) as caught:
        read_chunk_json(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DetectionsInvalid, match="no such file"):
        read_chunk_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("a_chunk_0_60000", (0, 60_000)),
        ("a_b_5_9", (5, 9)),
        ("a_9_5", (None, None)),
        ("a", (None, None)),
    ],
)
def test_a_chunks_name_may_tell_its_times(name, times):
    assert parse_times(name) == times
