"""From recordings with manifests to files, on real recordings, with real workers."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from support.built_once import build_once
from support.detecting import cut_recordings, detect, detect_and_select, ids
from support.telemetry import read_events

from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort, read_metadata
from badc_core.detections.verify import verify_recording
from badc_core.detectors.registry import identify_detector
from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    DatasetInvalid,
    DetectorFailed,
    ManifestMismatch,
    UnreadableRecording,
)
from badc_core.inference.config_hashes import detections_hash
from badc_core.inference.detections_result import DetectionsResult
from badc_core.outcomes import Outcome
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registry import register_recordings
from badc_core.settings import ChunkSettings
from badc_core.stages.fingerprints import Fingerprints
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import watched_by

NAME = "l'été 2024; $HOME"
RECORDINGS = {
    "audio/Sambaa K'e/S 1/20240528_100000.wav": "aru_1.wav",
    "audio/Sambaa K'e/S 1/été, dawn.mp3": "CommonYellowthroat.mp3",
    "audio/Sambaa K'e/S 2/silence.mp3": "silence_10s.mp3",
    "audio/Sambaa K'e/S 2/short.wav": "veryshort.wav",
}


@pytest.fixture
def dataset(field_audio: Path, tmp_path: Path) -> Dataset:
    """Returns a dataset of four real recordings, described and cut in pieces of two seconds."""
    return lay_out(tmp_path, field_audio)


@pytest.fixture(scope="session")
def detected(field_audio: Path, tmp_path_factory) -> Dataset:
    """Returns such a dataset after a run, which no test changes."""
    folder = build_once(
        tmp_path_factory, "detected", lambda folder: detect(lay_out(folder, field_audio))
    )
    return reopen(folder / NAME)


def lay_out(folder: Path, field_audio: Path) -> Dataset:
    root = folder / NAME
    for path, source in RECORDINGS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(field_audio / source, root / path)
    dataset = reopen(root)
    cut_recordings(dataset)
    return dataset


def reopen(root: Path, workers: int = 2, **detector: object) -> Dataset:
    return Dataset.open(
        root,
        {
            "chunks": {"duration_s": 2.0, "overlap_s": 0.25, "min_chunk_s": 1.0},
            "detector": {"name": "band_energy", "min_score": 0.3, **detector},
            "inference": {"cpu_workers": workers, "backoff_s": 0.01},
        },
    )


def config_hash(dataset: Dataset) -> str:
    settings = dataset.settings.detector
    return detections_hash(settings, identify_detector(settings))


def errors(outcomes: dict[str, Outcome[DetectionsResult]]) -> dict[str, type]:
    return {name: type(one.error) for name, one in outcomes.items() if one.error is not None}


def effort_of(dataset: Dataset, recording_id: str) -> list[dict]:
    return read_effort(dataset.effort(recording_id)).to_pylist()


def id_of(dataset: Dataset, path: str) -> str:
    return register_recordings(dataset).registry.by_path[path].recording_id


def written(dataset: Dataset) -> dict[str, bytes]:
    return {
        str(path.relative_to(dataset.artifacts)): path.read_bytes()
        for path in sorted(dataset.artifacts.rglob("*.parquet"))
    }


def forget(dataset: Dataset) -> None:
    """Removes all results, so that the next run starts from nothing."""
    for path in dataset.artifacts.rglob("*.parquet"):
        path.unlink()


def test_every_recording_gets_detections_and_effort_that_agree(dataset: Dataset) -> None:
    outcomes = detect(dataset)
    assert outcomes.keys() == set(ids(dataset))
    assert errors(outcomes) == {}
    for recording_id, outcome in outcomes.items():
        recording = read_recording(dataset.recording(recording_id))
        detections = read_detections(dataset.detections(recording_id))
        effort = read_effort(dataset.effort(recording_id))
        verify_recording(recording, detections, effort)
        assert outcome.value is not None
        assert detections.equals(outcome.value.table)
        assert sum(effort["effort_s"].to_pylist()) == pytest.approx(recording.duration_s, abs=1e-9)
        assert outcome.value.effort_s == pytest.approx(recording.duration_s, abs=1e-9)
        assert len(outcome.value.raw.results) == effort.num_rows
        assert outcome.value.raw.failed == ()
        assert outcome.value.raw.detector.name == "band_energy"
        assert set(outcome.value.raw.workers) <= {"cpu-0", "cpu-1"}
    assert len(written(dataset)) == 3 * len(RECORDINGS)


def test_each_chunk_says_whether_something_was_found(detected: Dataset) -> None:
    silent = effort_of(detected, "silence")
    assert {row["status"] for row in silent} == {"no_detections"}
    assert [row["chunk_start_ms"] for row in silent] == [0, 1750, 3500, 5250, 7000, 8750]
    assert [row["overlap_ms"] for row in silent] == [0, 250, 250, 250, 250, 250]
    assert [row["effort_s"] for row in silent] == [2.0, 1.75, 1.75, 1.75, 1.75, 1.0]
    assert read_detections(detected.detections("silence")).num_rows == 0
    station = [row for row in effort_of(detected, "20240528_100000") if row["detections"]]
    assert [row["status"] for row in station] == ["ok"]
    found = read_detections(detected.detections("20240528_100000")).to_pylist()
    assert [row["label_name"] for row in found] == ["4-8 kHz"]
    assert (found[0]["absolute_time_ms"], found[0]["absolute_end_ms"]) == (0, 3000)
    assert found[0]["location"] == "S 1"
    assert found[0]["source_path"] == "audio/Sambaa K'e/S 1/20240528_100000.wav"
    assert found[0]["dataset_root"] == detected.root.name


def test_detections_are_in_order_of_time_then_label(detected: Dataset) -> None:
    recording_id = id_of(detected, "audio/Sambaa K'e/S 1/été, dawn.mp3")
    rows = read_detections(detected.detections(recording_id)).to_pylist()
    keys = [(row["absolute_time_ms"], row["label"]) for row in rows]
    assert len({label for _, label in keys}) > 2
    assert keys == sorted(keys)


def test_files_say_what_made_them(detected: Dataset) -> None:
    for path in (detected.detections("silence"), detected.effort("silence")):
        metadata = read_metadata(path)
        assert metadata["badc.runner"] == "band_energy"
        assert metadata["badc.fingerprint"] == config_hash(detected)


def test_the_files_are_the_same_bytes_whatever_the_workers_and_however_often(
    dataset: Dataset,
) -> None:
    detect(dataset)
    once = written(dataset)
    assert sum(pq.read_metadata(path).num_rows for path in dataset.aggregate.glob("*.parquet"))
    for workers in (1, 3):
        forget(dataset)
        detect(reopen(dataset.root, workers), reversed(ids(dataset)))
        assert written(dataset) == once


def test_a_worker_killed_on_the_way_leaves_no_trace_in_the_files(dataset: Dataset, foreign) -> None:
    foreign_dataset = reopen(dataset.root, name="foreign")
    detect(foreign_dataset)
    undisturbed = written(dataset)
    foreign("die_once_20240528_100000_chunk_0_2000", "die_once_silence_chunk_1750_3750")
    forget(dataset)
    assert errors(detect(foreign_dataset)) == {}
    assert written(dataset) == undisturbed


def test_a_chunk_that_fails_is_a_row_with_its_reason_and_without_effort(
    dataset: Dataset, foreign
) -> None:
    foreign("raise_silence_chunk_1750_3750", "die_silence_chunk_5250_7250")
    outcomes = detect(reopen(dataset.root, name="foreign"))
    assert errors(outcomes) == {}
    made = outcomes["silence"].value
    assert made is not None
    rows = {row["chunk_id"]: row for row in effort_of(dataset, "silence")}
    raised = rows.pop("silence_chunk_1750_3750")
    died = rows.pop("silence_chunk_5250_7250")
    for row in (raised, died):
        assert (row["status"], row["effort_s"], row["detections"]) == ("error", 0.0, 0)
    assert "ValueError: a bug in detecting" in raised["error"]
    assert "exit code 7" in died["error"]
    assert {row["error"] for row in rows.values()} == {None}
    assert made.effort_s == 10.0 - 1.75 - 1.75
    assert (len(made.raw.results), len(made.raw.failed)) == (6, 2)
    assert outcomes["short"].value is not None
    assert outcomes["short"].value.raw.failed == ()


def test_a_recording_all_of_whose_chunks_fail_has_no_result(dataset: Dataset, foreign) -> None:
    foreign("raise_short_chunk_0_142")
    outcomes = detect(reopen(dataset.root, name="foreign"))
    assert errors(outcomes) == {"short": DetectorFailed}
    assert "a bug in detecting" in str(outcomes["short"].error)
    assert not dataset.detections("short").exists()
    assert not dataset.effort("short").exists()


def test_recordings_that_cannot_be_started_fail_alone(dataset: Dataset) -> None:
    dataset.manifest("short").unlink()
    dataset.manifest("silence").write_text("not,a,manifest\n1,2,3\n")
    outcomes = detect(dataset, [*ids(dataset), "nobody"])
    expected = {"short": ManifestMismatch, "silence": ManifestMismatch, "nobody": DatasetInvalid}
    assert errors(outcomes) == expected
    assert len(outcomes) == 5
    assert dataset.detections("20240528_100000").exists()


def test_nothing_but_failures_is_told_too(dataset: Dataset) -> None:
    for recording_id in ids(dataset):
        dataset.manifest(recording_id).unlink()
    assert set(errors(detect(dataset)).values()) == {ManifestMismatch}


def test_a_recording_that_changed_or_went_away_fails_alone_and_leaves_no_file(
    dataset: Dataset,
) -> None:
    sf.write(dataset.root / "audio/Sambaa K'e/S 2/short.wav", np.zeros(99_000), 44_100)
    (dataset.root / "audio/Sambaa K'e/S 2/silence.mp3").unlink()
    outcomes = detect(dataset)
    assert errors(outcomes) == {"short": UnreadableRecording, "silence": ContentMissing}
    assert sorted(path.stem for path in dataset.aggregate.glob("*.parquet")) == sorted(
        set(ids(dataset)) - {"short", "silence"}
    )


def test_a_failure_leaves_the_result_of_the_run_before(dataset: Dataset, foreign) -> None:
    foreign_dataset = reopen(dataset.root, name="foreign")
    detect(foreign_dataset)
    before = written(dataset)
    foreign("raise_short_chunk_0_142")
    again = reopen(dataset.root, name="foreign", sensitivity=1.1)
    assert errors(detect(again, ["short"])) == {"short": DetectorFailed}
    assert written(dataset) == before


def test_what_is_finished_stays_when_the_run_is_stopped(dataset: Dataset) -> None:
    with TelemetryLog(dataset.telemetry("stopped")) as telemetry:
        outcomes = detect_and_select(dataset, ids(dataset), telemetry)
        first = next(outcomes)
        outcomes.close()
    assert read_detections(dataset.detections(first.recording_id)) is not None
    assert dataset.effort(first.recording_id).exists()


def test_telemetry_has_a_line_for_the_beginning_and_the_end_of_every_attempt(
    dataset: Dataset, foreign
) -> None:
    foreign("raise_silence_chunk_0_2000", "die_silence_chunk_1750_3750")
    outcomes = detect(reopen(dataset.root, name="foreign"))
    events = read_events(dataset.telemetry("run"))
    attempts = {(event["chunk_id"], event["attempt"], event["status"]): event for event in events}
    assert len(attempts) == len(events)
    ended = {key[:2]: event for key, event in attempts.items() if key[2] != "start"}
    begun = {key[:2] for key in attempts if key[2] == "start"}
    assert begun == ended.keys()
    chunks = {one.chunk.chunk_id for each in outcomes.values() for one in each.value.raw.results}
    assert {chunk_id for chunk_id, _ in ended} == chunks
    failed = {key for key, event in ended.items() if event["status"] == "failure"}
    culprits = ("silence_chunk_0_2000", "silence_chunk_1750_3750")
    # The one that kills may have had company the first time, which is not counted.
    fourth = {("silence_chunk_1750_3750", 4)}
    assert failed - fourth == {(one, number) for one in culprits for number in (1, 2, 3)}
    raised = ended["silence_chunk_0_2000", 3]
    assert "a bug in detecting" in raised["error"]
    assert "in detect\n" in raised["details"]["stderr"]
    assert raised["details"]["will_retry"] is False
    died = ended["silence_chunk_1750_3750", 2]
    assert died["details"]["returncode"] == 7
    assert died["details"]["will_retry"] is True
    assert "a bug" not in died["error"] + died["details"]["stderr"]
    short = ended["short_chunk_0_142", 1]
    assert short["error"] is None
    assert short["audio_s"] == pytest.approx(0.1421, abs=1e-4)
    assert all(event["runtime_s"] >= 0 for event in events)


def test_who_watches_hears_of_every_second_of_sound(dataset: Dataset) -> None:
    class Sum:
        audio_s = 0.0

        def analysed(self, audio_s: float) -> None:
            self.audio_s += audio_s

        def ended(self) -> None:
            pass

    watcher = Sum()
    with watched_by(watcher):
        outcomes = detect(dataset, ["silence"])
    chunks = [row["chunk_end_ms"] - row["chunk_start_ms"] for row in effort_of(dataset, "silence")]
    assert outcomes["silence"].value is not None
    assert watcher.audio_s == pytest.approx(sum(chunks) / 1000)


def test_an_unknown_detector_fails_before_anything_starts(dataset: Dataset) -> None:
    with pytest.raises(ConfigInvalid, match="no detector is called 'hawk'"):
        detect(reopen(dataset.root, name="hawk"))
    assert written(dataset) == {}


def test_summaries_count_species_and_name_the_most_frequent(dataset: Dataset, foreign) -> None:
    made = detect(reopen(dataset.root, name="foreign"))["silence"].value
    assert made is not None
    assert made.n_species == 1
    assert made.top_labels(3) == [("Anything", 4, 0.5)]
    assert made.raw.peak_rss_mib > 1
    assert made.raw.detector_s > 0
    bands = detect(dataset)[id_of(dataset, "audio/Sambaa K'e/S 1/été, dawn.mp3")].value
    assert bands is not None
    assert bands.n_species == 0
    counts = [count for _, count, _ in bands.top_labels(99)]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == bands.table.num_rows
    assert len(bands.top_labels(1)) == 1


def look(folder: Path) -> dict[str, tuple[int, str]]:
    """Returns what is in a folder: when each thing changed and what it holds."""
    return {
        str(path): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder",
        )
        for path in [folder, *folder.rglob("*")]
    }


def test_nothing_is_written_beside_the_audio(dataset: Dataset) -> None:
    before = look(dataset.root / "audio")
    assert len(before) == len(RECORDINGS) + 4
    assert errors(detect(dataset)) == {}
    assert look(dataset.root / "audio") == before


def test_a_recording_a_sample_longer_than_a_window_passes_with_every_score_kept(
    tmp_path: Path,
) -> None:
    (tmp_path / "audio").mkdir()
    samples = np.random.default_rng(1).normal(0, 0.1, 3 * 48_000 + 1)
    sf.write(tmp_path / "audio" / "over.wav", samples, 48_000)
    dataset = reopen(tmp_path, min_score=0.0)
    cut_recordings(dataset)
    assert errors(detect(dataset)) == {}
    rows = read_detections(dataset.detections("over")).to_pylist()
    assert {(row["absolute_time_ms"], row["absolute_end_ms"]) for row in rows} == {(0, 3000)}


def rows_of(dataset: Dataset) -> dict[str, list[tuple]]:
    """Returns each recording's detections without what depends on its chunks."""
    columns = ("absolute_time_ms", "absolute_end_ms", "label", "confidence", "n_merged")
    return {
        one: list(zip(*(table[name].to_pylist() for name in columns), strict=True))
        for one in ids(dataset)
        for table in [read_detections(dataset.detections(one))]
    }


def test_labels_of_variable_length_do_not_depend_on_how_a_recording_is_cut(
    dataset: Dataset,
) -> None:
    variable = reopen(dataset.root, min_score=0.05, label_length="variable")
    detect(variable)
    cut = rows_of(variable)
    assert any(row[-1] > 1 and row[1] - row[0] > 2000 for rows in cut.values() for row in rows)
    for rows in cut.values():
        begun = {(start_ms, label) for start_ms, _, label, _, _ in rows}
        assert not begun & {(end_ms, label) for _, end_ms, label, _, _ in rows}
    whole = replace(
        variable,
        settings=variable.settings.model_copy(update={"chunks": ChunkSettings(duration_s=600)}),
    )
    cut_recordings(whole)
    detect(whole, name="whole")
    assert rows_of(whole) == cut


def test_how_long_labels_are_is_decided_after_the_model_ran(dataset: Dataset) -> None:
    fixed = reopen(dataset.root, min_score=0.05)
    with TelemetryLog(fixed.telemetry("stopped")) as telemetry:
        outcomes = detect_and_select(fixed, ids(fixed), telemetry)
        first = next(outcomes).recording_id
        outcomes.close()
    variable = reopen(dataset.root, min_score=0.05, label_length="variable")
    outcome = detect(variable, [first])[first].value
    assert outcome is not None
    assert outcome.raw.n_resumed == len(outcome.raw.results)
    ours, before = Fingerprints(variable), Fingerprints(fixed)
    assert ours.settings_hash("raw_detections") == before.settings_hash("raw_detections")
    assert ours.settings_hash("detections") != before.settings_hash("detections")
    metadata = read_metadata(variable.detections(first))
    assert metadata["badc.fingerprint"] == config_hash(variable) != config_hash(fixed)
    assert '"label_length": "variable"' in metadata["badc.detector_settings"]
