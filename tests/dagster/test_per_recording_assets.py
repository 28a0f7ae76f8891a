"""The stages from recording to report_bundle, one recording at a time and in ranges."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from badc_core.detectors.registry import identify_detector
from badc_core.inference.config_hashes import detections_hash
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import read_registry
from badc_core.stages.fingerprints import Fingerprints
from badc_core.stages.stage import STAGES
from badc_dagster.failures import RECORDINGS_FAILED
from badc_dagster.metadata import manifest_schema
from badc_dagster.partitions import range_tags
from badc_dagster.run_events import faults

IDS = ("rec_1", "rec_2", "rec_3")


def step_failures(result):
    return [event for event in result.all_events if event.is_step_failure]


def sentence_of(result):
    (failure,) = step_failures(result)
    return failure.step_failure_data.user_failure_data.description


def expected_fingerprints(graph, recording_id):
    fingerprints = Fingerprints(graph.dataset)
    source = read_registry(graph.dataset.registry).require(recording_id).fingerprint
    for stage in STAGES:
        source = fingerprints.of(stage, source)
        yield stage, source


@pytest.fixture
def spoilt(graph):
    """Returns the graph with a second recording that ends in the middle, and its good content."""
    path = graph.root / "audio" / "S1" / "rec_2.wav"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    graph.scan()
    return graph, path, whole


def require_told_of_detections(graph):
    """Returns if detections tell how much, from what and where."""
    told = {name: one.value for name, one in graph.latest("detections", "rec_1").metadata.items()}
    rows = pq.read_table(graph.dataset.detections("rec_1"))
    assert rows.num_rows > 0
    assert told["dagster/partition_row_count"] == rows.num_rows
    assert told["dagster/uri"] == graph.dataset.detections("rec_1").as_uri()
    assert told["species"] == 0
    assert told["effort_s"] == pytest.approx(3.0)
    settings = graph.dataset.settings.detector
    assert told["config_hash"] == detections_hash(settings, identify_detector(settings))
    assert "| 4-8 kHz |" in told["top_species"]


def require_told_of_raw_detections(graph):
    """Returns if raw detections tell how fast, on what and where it is logged."""
    metadata = graph.latest("raw_detections", "rec_1").metadata
    told = {name: one.value for name, one in metadata.items()}
    assert told["dagster/uri"] == graph.dataset.raw_detections("rec_1").as_uri()
    assert told["score_floor"] == 0.1
    assert told["x_realtime"] > 0
    assert told["device"] == "cpu-0"
    assert told["detector"] == "band_energy 2"
    assert (told["chunks"], told["chunks_failed"]) == (1, 0)
    telemetry = Path(told["telemetry"])
    assert telemetry.is_relative_to(graph.dataset.artifacts)
    assert "rec_1" in telemetry.read_text(encoding="utf-8")


def require_told_of_others(graph):
    recording = graph.latest("recording", "rec_1").metadata
    assert recording["path"].value == "audio/S1/rec_1.wav"
    assert recording["station"].value == "S1"
    assert recording["duration_s"].value == pytest.approx(3.0)
    assert "32000 Hz" in recording["format"].value
    manifest = graph.latest("chunk_manifest", "rec_1").metadata
    assert manifest["dagster/partition_row_count"].value == 1
    assert manifest["longest_chunk_s"].value == pytest.approx(3.0)
    assert manifest["duration_s"].value == pytest.approx(3.0)
    assert manifest["bytes"].value == graph.dataset.manifest("rec_1").stat().st_size
    page = graph.dataset.bundle("rec_1").html
    bundle = graph.latest("report_bundle", "rec_1").metadata
    assert bundle["report"].value == str(page)
    assert bundle["page_bytes"].value == page.stat().st_size


def test_one_run_takes_a_recording_from_file_to_report_and_tells_what_each_asset_made(graph):
    graph.scan()
    result = graph.run_one("rec_1")
    assert result.success
    made = [event.materialization for event in result.get_asset_materialization_events()]
    assert [one.asset_key.path for one in made] == [[stage] for stage in STAGES]
    assert {one.partition for one in made} == {"rec_1"}
    dataset = graph.dataset
    for path in (
        dataset.recording("rec_1"),
        dataset.manifest("rec_1"),
        dataset.detections("rec_1"),
        dataset.effort("rec_1"),
        dataset.bundle("rec_1").html,
    ):
        assert path.stat().st_size > 0
    assert not dataset.detections("rec_2").exists()
    require_told_of_detections(graph)
    require_told_of_raw_detections(graph)
    require_told_of_others(graph)


def test_a_detector_that_must_hear_a_recording_whole_gets_it_in_one_chunk(graph, tmp_path):
    (tmp_path / "data" / "ckpt").mkdir(parents=True)
    for name in ("analyze.py", "data/ckpt/net.ckpt"):
        (tmp_path / name).write_text("is not run here")
    chunks = "[chunks]\nduration_s = 1.0\nmin_chunk_s = 0.0\n"
    hawkears = f'[detector]\nname = "hawkears1"\nruntime = "{tmp_path}"\n'
    notes = []
    for detector in (hawkears, '[detector]\nname = "band_energy"\n'):
        graph.configure(chunks, detector)
        graph.scan()
        assert graph.execute("chunk_job", tags={"dagster/partition": "rec_1"}).success
        metadata = graph.latest("chunk_manifest", "rec_1").metadata
        rows = metadata["dagster/partition_row_count"].value
        notes.append((rows, metadata["chunks_note"].value if "chunks_note" in metadata else ""))
    assert notes[0][0] == 1
    assert "chunks.duration_s is not used" in notes[0][1]
    assert notes[1] == (3, "")


def test_the_detections_asset_shows_the_columns_of_its_files(finished):
    shown = finished.defs.resolve_asset_graph().get(finished.key("detections")).metadata
    names = [column.name for column in shown["dagster/column_schema"].columns]
    assert names == pq.read_schema(finished.dataset.detections("rec_1")).names


def test_the_schema_of_a_manifest_is_that_of_its_file(finished):
    with finished.dataset.manifest("rec_1").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    schema = manifest_schema()
    assert [column.name for column in schema.columns] == header
    assert all(column.description.endswith(".") for column in schema.columns)


def test_a_range_makes_every_recording_of_it_a_partition_of_its_own(graph):
    graph.scan()
    result = graph.run_range("recording", *IDS)
    assert result.success
    assert graph.n_materialized("recording") == 3
    assert graph.statuses("recording") == dict.fromkeys(IDS, "MATERIALIZED")
    assert graph.latest("recording", "rec_2").metadata["path"].value == "audio/S1/rec_2.wav"


def test_in_a_range_a_bad_recording_fails_alone_until_it_is_repaired(spoilt):
    graph, path, whole = spoilt
    result = graph.run_range("recording", *IDS)
    assert not result.success
    (failure,) = step_failures(result)
    told = failure.step_failure_data.user_failure_data
    summary, line = told.description.splitlines()
    assert summary == "1 of 3 recordings failed:"
    assert line.startswith("  rec_2: ")
    assert "truncated" in line
    assert list(told.metadata[RECORDINGS_FAILED].value) == ["rec_2"]
    assert graph.statuses("recording") == {
        "rec_1": "MATERIALIZED",
        "rec_2": "FAILED",
        "rec_3": "MATERIALIZED",
    }
    assert graph.n_materialized("recording") == 2
    (note,) = read_failures(graph.dataset).values()
    assert (note.recording_id, note.stage) == ("rec_2", "recording")
    assert "truncated" in note.error
    path.write_bytes(whole)
    graph.scan()
    assert graph.run_range("recording", "rec_2").success
    assert read_failures(graph.dataset) == {}
    assert graph.statuses("recording") == dict.fromkeys(IDS, "MATERIALIZED")


def test_a_bad_recording_alone_fails_with_its_sentence_and_has_no_results(spoilt):
    graph, _, _ = spoilt
    result = graph.run_one("rec_2")
    sentence = sentence_of(result)
    assert "rec_2.wav" in sentence
    assert "truncated" in sentence
    assert "\n" not in sentence
    assert {graph.n_materialized(stage) for stage in STAGES} == {0}
    assert not graph.dataset.detections("rec_2").exists()
    assert graph.statuses("recording")["rec_2"] == "FAILED"


def test_data_versions_are_the_fingerprints_that_are_expected(finished):
    finished.add("S2/twin.wav", "aru_1.wav")
    finished.scan()
    assert finished.run_one("twin").success
    for recording_id in (*IDS, "twin"):
        for stage, expected in expected_fingerprints(finished, recording_id):
            tags = finished.latest(stage, recording_id).tags
            assert tags["dagster/data_version"] == expected, (stage, recording_id)
            assert tags["dagster/code_version"] == STAGES[stage].code_version
    versions = {
        finished.latest("detections", one).tags["dagster/data_version"] for one in ("rec_1", "twin")
    }
    assert len(versions) == 1, "recordings with the same sound differ in nothing that counts"


def test_settings_that_cannot_be_used_fail_the_run_and_name_the_valid_ones(graph):
    graph.scan()
    graph.configure("[chunks]\nlength = 3\n")
    result = graph.run_one("rec_1")
    assert not result.success
    (sentence,) = faults(result.all_events)
    assert "badc.toml: unknown setting chunks.length; valid here: duration_s, min_chu" in sentence
    assert "\n" not in sentence


def test_a_run_may_override_settings_for_itself(finished):
    overrides = {"detector": {"min_score": 0.999}}
    config = {"root": str(finished.root), "overrides": overrides}
    assert (
        finished.defs.resolve_job_def("pipeline_job")
        .execute_in_process(
            instance=finished.instance,
            tags={"dagster/partition": "rec_1"},
            asset_selection=[finished.key("detections")],
            run_config={"resources": {"dataset": {"config": config}}},
        )
        .success
    )
    told = finished.latest("detections", "rec_1").metadata
    assert told["dagster/partition_row_count"].value == 0
    assert told["top_species"].value == "no detections"
    assert finished.due() == {"detections": ["rec_1"]}


def test_a_range_in_a_job_of_several_stages_fails_and_names_those_left_out(graph):
    graph.scan()
    result = graph.execute("chunk_job", tags=range_tags(IDS))
    assert not result.success
    assert graph.n_materialized("recording") == 3
    (fault,) = faults(result.all_events)
    assert "one stage a run, so chunk_manifest did not run" in fault
    assert "materialise only chunk_manifest of this range" in fault
    assert "chunk_manifest" in graph.due()
