"""AggregationRequest chunks' JSON files into one table."""

import json
from pathlib import Path

import pytest
from support.commands import run_typed
from support.tables import rows_of
from typer.testing import CliRunner

from badc_core.chunks.plan import Chunk
from badc_core.cli.infer import infer
from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.detections.store import (
    FINGERPRINT_KEY,
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    read_detections,
    read_metadata,
    write_detections,
)
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import DetectionsInvalid, DetectorFailed, OutputUnwritable
from badc_core.inference.aggregation import (
    CSV_COLUMNS,
    AggregationRequest,
    aggregate_chunks,
    find_chunk_files,
)
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.inference.detections_table import detections_table
from badc_core.recordings.recording import Recording
from badc_core.settings import Settings

IDENTITY = DetectorIdentity("birdnet", "2.4", "ab" * 32, "", 3.0)
NAME = "Sambaa K'e, été"
OWL = Label("Owl, Great Horned", "GHOW", "Bubo virginianus")


def a_result(number: int, *found: Detection, error: DetectorFailed | None = None) -> ChunkResult:
    chunk = Chunk(NAME, 16_000 * number, 16_000 * (number + 1), 0, 16_000)
    return ChunkResult(ChunkTask(Path("a.wav"), 64_000, chunk), found, error, 1.0, "cpu-0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns results of four chunks: two detections, none, a failure, one detection."""
    paths = InferencePaths(tmp_path / "infer")
    for one in (
        a_result(0, Detection(4000, 8000, OWL, 0.5), Detection(1000, 2000, Label("Dog"), 0.25)),
        a_result(1),
        a_result(2, error=DetectorFailed("no luck")),
        a_result(3, Detection(50_000, 60_000, OWL, 0.75, is_expected=True, occurrence=0.5)),
    ):
        origin = ChunkOrigin(
            one.chunk.chunk_id, NAME, "a.wav", one.chunk.start_ms, one.chunk.end_ms
        )
        write_chunk_json(paths, one, IDENTITY, origin)
    (paths.folder / NAME / ".chunk_status.json").write_text("{}")
    (paths.folder / "one.jsonl.summary.json").write_text("{}")
    return paths.folder


def test_chunks_without_detections_are_rows_of_the_csv_only(folder, tmp_path):
    table, parquet = tmp_path / "x" / "a, b.csv", tmp_path / "a'b.parquet"
    made = aggregate_chunks(AggregationRequest(folder, table, parquet))
    assert (made.n_files, made.n_recordings, made.n_chunks) == (4, 1, 3)
    assert (made.n_detections, made.n_failed, made.n_settings) == (3, 1, 1)
    rows = rows_of(table)
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert [row["label"] for row in rows] == ["Dog", "GHOW", "none", "GHOW"]
    assert [row["is_detection"] for row in rows] == ["true", "true", "false", "true"]
    assert [row["confidence"] for row in rows] == ["0.25", "0.5", "", "0.75"]
    assert (rows[2]["label_name"], rows[2]["absolute_time_ms"]) == ("", "")
    assert (rows[2]["chunk_start_ms"], rows[2]["status"]) == ("1000", "no_detections")
    said = read_metadata(parquet)
    assert (said[RUNNER_KEY], said[MODEL_VERSION_KEY]) == ("birdnet", "2.4")
    assert said[MODEL_SHA256_KEY] == "ab" * 32
    stored = read_detections(parquet)
    assert stored["label"].to_pylist() == ["Dog", "GHOW", "GHOW"]
    assert stored["absolute_time_ms"].to_pylist() == [63, 250, 3125]
    assert stored["timestamp_ms"].to_pylist() == [63, 250, 125]
    assert stored["is_expected"].to_pylist() == [None, None, True]


def test_in_a_dataset_the_table_is_the_one_its_assets_make(folder, tmp_path):
    root = tmp_path / "ds"
    recording = Recording(
        *(NAME, "audio/a.wav", 1, "cd" * 32, "f", "WAV", "PCM_16", 16_000, 1, 64_000),
        *(-20.0, -1.0, 0.0, False),
        study_area="Sambaa K'e",
        latitude=60.5,
        longitude=-121.25,
        channels=(),
    )
    recording.write(Dataset(root, Settings()).recording(NAME))
    results = [
        a_result(0, Detection(4000, 8000, OWL, 0.5), Detection(1000, 2000, Label("Dog"), 0.25)),
        a_result(3, Detection(50_000, 60_000, OWL, 0.75, is_expected=True, occurrence=0.5)),
    ]
    for one in results:
        chunk = one.chunk
        times = (chunk.start_ms, chunk.end_ms, 0)
        origin = ChunkOrigin(
            *(chunk.chunk_id, NAME, "audio/a.wav", *times),
            dataset_root="ds",
            config_hash="c0",
        )
        write_chunk_json(InferencePaths(folder), one, IDENTITY, origin)
    aggregate_chunks(
        AggregationRequest(folder, tmp_path / "a.csv", tmp_path / "a.parquet", root=root)
    )
    made = read_detections(tmp_path / "a.parquet").drop("chunk_sha256")
    wanted = detections_table(recording, results, IDENTITY, "c0", "ds").drop("chunk_sha256")
    assert made.to_pylist() == wanted.to_pylist()


def test_an_empty_folder_gives_nothing_and_a_missing_one_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    made = aggregate_chunks(AggregationRequest(tmp_path / "empty", tmp_path / "a.csv"))
    assert made.n_files == 0
    assert not (tmp_path / "a.csv").exists()
    with pytest.raises(DetectionsInvalid, match="no chunk's JSON file below this folder"):
        run_typed(infer, "aggregate", tmp_path / "empty", "--output", tmp_path / "a.csv")
    with pytest.raises(DetectionsInvalid, match="no such folder"):
        aggregate_chunks(AggregationRequest(tmp_path / "none", tmp_path / "a.csv"))


def test_a_corrupt_file_or_a_chunk_found_twice_stops_it_and_leaves_the_old_table(folder, tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("old")
    (folder / "zz.json").write_text("{")
    with pytest.raises(DetectionsInvalid, match=r"zz\.json: not JSON"):
        aggregate_chunks(AggregationRequest(folder, table))
    first = find_chunk_files(folder)[0]
    (folder / "zz.json").write_bytes(first.read_bytes())
    with pytest.raises(DetectionsInvalid, match="the same chunk as in"):
        aggregate_chunks(AggregationRequest(folder, table))
    assert table.read_text() == "old"


def test_the_originals_results_are_completed_from_manifest_and_hawkears_own_table(tmp_path):
    folder = tmp_path / "infer" / "REC"
    folder.mkdir(parents=True)
    (folder / "part_b.json").write_text(
        json.dumps({"chunk_id": "part_b", "recording_id": "REC", "status": "no_output"})
    )
    raw = folder / "part_b_hawkears"
    raw.mkdir()
    (raw / "anything.json").write_text("not for us")
    (raw / "HawkEars_labels.csv").write_text(
        "filename,start_time,end_time,class_name,class_code,score\n"
        'part_b.wav,3.0,6.0,"Owl, Great Horned",GHOW,0.875\n'
        "other.wav,0.0,3.0,Dog,DOG,0.5\n"
    )
    with pytest.raises(DetectionsInvalid, match="does not say when"):
        aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv"))
    manifest = tmp_path / "m, 1.csv"
    manifest.write_text(
        "recording_id,chunk_id,source_path,start_ms,end_ms,overlap_ms,sha256,notes\n"
        f"REC,part_b,chunks/part_b.wav,60000.0,120000.0,,{'ab' * 32},\n"
    )
    made = aggregate_chunks(
        AggregationRequest(folder, tmp_path / "a.csv", tmp_path / "a.parquet", manifest)
    )
    assert made.n_detections == 1
    (row,) = rows_of(tmp_path / "a.csv")
    assert (row["absolute_time_ms"], row["absolute_end_ms"]) == ("63000", "66000")
    assert (row["label"], row["label_name"]) == ("GHOW", "Owl, Great Horned")
    assert (row["chunk_sha256"], row["source_path"]) == ("ab" * 32, "chunks/part_b.wav")
    assert read_detections(tmp_path / "a.parquet")["confidence"].to_pylist() == [0.875]


def test_what_our_own_file_leaves_out_is_not_fetched_from_hawkears_table(tmp_path):
    paths = InferencePaths(tmp_path / "infer")
    empty = a_result(1)
    origin = ChunkOrigin(empty.chunk.chunk_id, NAME, "a.wav", 1000, 2000, config_hash="c0")
    write_chunk_json(paths, empty, IDENTITY, origin)
    raw = paths.chunk_files(NAME, empty.chunk.chunk_id, "hawkears1")
    raw.mkdir()
    (raw / "HawkEars_labels.csv").write_text(
        "filename,start_time,end_time,class_name,class_code,score\n"
        f"{empty.chunk.chunk_id}.wav,0.0,1.0,Dog,DOG,0.5\n"
    )
    assert aggregate_chunks(AggregationRequest(paths.folder, tmp_path / "a.csv")).n_detections == 0


@pytest.mark.parametrize("name", ["REC", "PLOT_3_14"])
@pytest.mark.parametrize("ending", ["_hawkears", "_runner"])
def test_a_recording_may_be_called_as_a_runners_folder_is(folder, tmp_path, name, ending):
    (folder / NAME).rename(folder / f"{name}{ending}")
    made = aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv"))
    assert (made.n_files, made.n_detections) == (4, 3)
    (chunk, *_) = find_chunk_files(folder)
    raw = chunk.with_name(f"{chunk.stem}{ending}") / "deeper"
    raw.mkdir(parents=True)
    (raw / "anything.json").write_text("not for us")
    assert aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv")).n_files == 4


def test_results_of_several_settings_are_counted(folder, tmp_path):
    content = json.loads((first := find_chunk_files(folder)[0]).read_text())
    first.write_text(json.dumps({**content, "config_hash": "other"}))
    assert aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv")).n_settings == 2


def overlaps_of(folder: Path, *chunks: tuple, notes: str, config_hash: str = "c0") -> list[str]:
    """Returns the overlaps in the CSV of chunks of (start, end, told overlap, failed), in ms."""
    paths = InferencePaths(folder / "infer")
    for start_ms, end_ms, told_ms, is_failed in chunks:
        chunk = Chunk(NAME, start_ms, end_ms, 0, 1000)
        error = DetectorFailed("no luck") if is_failed else None
        result = ChunkResult(ChunkTask(Path("a.wav"), 64_000, chunk), (), error, 1.0, "cpu-0")
        times = (start_ms, end_ms, told_ms)
        origin = ChunkOrigin(
            *(chunk.chunk_id, NAME, "a.wav", *times), notes=notes, config_hash=config_hash
        )
        write_chunk_json(paths, result, IDENTITY, origin)
    aggregate_chunks(AggregationRequest(paths.folder, folder / "a.csv"))
    return [row["overlap_ms"] for row in rows_of(folder / "a.csv")]


OURS = "virtual: sha256 is of parent_sha256 and the frame range"
FIRST, FAILED, LAST = (0, 60_000, 0, False), (55_000, 115_000, 5000, True), (110_000, 120_000)


def test_the_csv_tells_what_each_chunk_leaves_to_the_one_before(tmp_path):
    made = overlaps_of(tmp_path, FIRST, FAILED, (*LAST, 5000, False), notes=OURS)
    assert made == ["0", "5000"]


def test_a_chunk_whose_neighbour_was_not_run_leaves_it_as_much(tmp_path):
    assert overlaps_of(tmp_path, FIRST, (*LAST, 5000, False), notes=OURS) == ["0", "5000"]


def test_rounding_of_an_overlap_is_made_good_where_the_neighbour_is_known(tmp_path):
    made = overlaps_of(tmp_path, FIRST, FAILED, (*LAST, 5001, False), notes=OURS)
    assert made == ["0", "5000"]


def test_other_ways_of_cutting_do_not_change_an_overlap(tmp_path):
    chunks = (FIRST, FAILED, (100_000, 130_000, 0, False), (*LAST, 5000, False))
    assert overlaps_of(tmp_path, *chunks, notes=OURS) == ["0", "0", "5000"]


def test_of_a_manifest_of_the_originals_the_times_count(tmp_path):
    chunks = (
        (0, 60_000, 5000, False),
        (60_000, 120_000, 5000, False),
        (115_000, 175_000, 0, False),
    )
    assert overlaps_of(tmp_path, *chunks, notes="") == ["0", "0", "5000"]


def test_the_originals_own_results_leave_nothing_to_the_chunk_before(tmp_path):
    chunks = (FIRST, FAILED, (*LAST, 5000, False))
    assert overlaps_of(tmp_path, *chunks, notes="", config_hash="") == ["0", "0"]


def test_chunks_of_an_earlier_cut_which_the_manifest_does_not_list_do_not_count(folder, tmp_path):
    manifest = tmp_path / "m.csv"
    ids = [f'"{a_result(number).chunk.chunk_id}"' for number in (0, 1)]
    lines = (f'"{NAME}",{one},a.wav,{n}000,{n + 1}000,,,' for n, one in enumerate(ids))
    head = "recording_id,chunk_id,source_path,start_ms,end_ms,overlap_ms,sha256,notes"
    manifest.write_text("\n".join((head, *lines)) + "\n")
    made = aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv", manifest=manifest))
    assert (made.n_chunks, made.n_detections, made.n_left_out) == (2, 2, 2)
    others = manifest.read_text().replace("_chunk_", "_piece_")
    manifest.write_text(others)
    made = aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv", manifest=manifest))
    assert (made.n_detections, made.n_left_out) == (3, 0), "a manifest of other names tells nothing"


def test_a_table_of_badc_run_is_not_replaced(folder, tmp_path):
    parquet = tmp_path / "a.parquet"
    aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv", parquet))
    words = ("aggregate", folder, "--output", tmp_path / "b.csv", "--parquet", parquet)
    run_typed(infer, *words)
    write_detections(parquet, read_detections(parquet), {FINGERPRINT_KEY: "of the asset"})
    before = parquet.read_bytes()
    (tmp_path / "b.csv").unlink()
    with pytest.raises(OutputUnwritable, match="badc run wrote this"):
        run_typed(infer, *words)
    assert (parquet.read_bytes(), (tmp_path / "b.csv").exists()) == (before, False)


def test_detections_that_chunks_of_several_cuts_share_are_counted(folder, tmp_path):
    assert aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv")).n_repeated == 0
    owl = Detection(4000, 8000, OWL, 0.75)
    chunk = Chunk(NAME, 0, 64_000, 0, 16_000)
    result = ChunkResult(ChunkTask(Path("a.wav"), 64_000, chunk), (owl,), None, 1.0, "cpu-0")
    origin = ChunkOrigin("whole", NAME, "a.wav", 0, 4000)
    write_chunk_json(InferencePaths(folder), result, IDENTITY, origin)
    assert aggregate_chunks(AggregationRequest(folder, tmp_path / "a.csv")).n_repeated == 1
    done = CliRunner().invoke(
        infer, ["aggregate", str(folder), "--output", str(tmp_path / "a.csv")]
    )
    assert "cut in several ways have 1 detection more than once" in " ".join(done.output.split())
