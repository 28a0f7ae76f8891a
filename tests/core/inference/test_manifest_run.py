"""Running manifests: results, resuming, guards, with real workers."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support.detecting import cut_recordings, detect_and_select
from support.sounds import write_tone
from support.tables import write_rows
from support.telemetry import read_events

from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.errors import ConfigInvalid, DatasetInvalid, ManifestMismatch
from badc_core.inference.chunk_output import read_chunk_json
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.manifest_runs import run_manifest
from badc_core.inference.run_spec import RunResult, RunSpec
from badc_core.settings import Settings
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import summary_path

NAME = "Sambaa K'e, été"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Returns a manifest of the original's kind: four chunk files of three seconds."""
    path = tmp_path / "l'été; $HOME" / f"{NAME}.csv"
    rows = []
    for number in range(4):
        start_ms = 3000 * number
        chunk_id = f"{NAME}_chunk_{start_ms}_{start_ms + 3000}"
        write_tone(path.parent / "chunks" / f"{chunk_id}.wav", 3.0, number)
        source = f"chunks/{chunk_id}.wav"
        rows.append((NAME, chunk_id, source, start_ms, start_ms + 3000, 0, f"{number}" * 64, ""))
    return write_rows(path, *rows)


@pytest.fixture
def order(manifest: Path, tmp_path: Path) -> RunSpec:
    return RunSpec(
        manifests=(manifest,),
        settings=settings(),
        output=InferencePaths(tmp_path / "out"),
        telemetry_log=tmp_path / "telemetry" / "one.jsonl",
    )


def settings(**detector: object) -> Settings:
    return Settings.model_validate(
        {
            "detector": {"name": "band_energy", "min_score": 0.3, **detector},
            "inference": {"cpu_workers": 1, "max_retries": 0},
        }
    )


def run(order: RunSpec, **changes: object) -> RunResult:
    return run_manifest(ManifestRun(replace(order, **changes)))


def results(order: RunSpec) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in order.output.recording(NAME).glob("*.json")}


def analysed(order: RunSpec) -> Counter[str]:
    """Returns how often each chunk was begun, by all logs beside the order's."""
    logs = order.telemetry_log.parent.glob("*.jsonl")
    events = [event for log in logs for event in read_events(log)]
    return Counter(one["chunk_id"] for one in events if one["status"] == "start")


def chunk_id(number: int) -> str:
    return f"{NAME}_chunk_{3000 * number}_{3000 * number + 3000}"


def test_every_chunk_gets_its_file_its_line_and_its_place_in_the_summary(order):
    made = run(order)
    assert (made.n_chunks, made.n_skipped, made.failed, made.is_failure) == (4, 0, (), False)
    files = [read_chunk_json(order.output.chunk_json(NAME, chunk_id(n))) for n in range(4)]
    assert [one.status for one in files] == ["ok"] * 4
    assert made.n_detections == sum(len(one.detections) for one in files) > 0
    assert files[2].origin.chunk_id == chunk_id(2)
    assert (files[2].origin.start_ms, files[2].origin.sha256) == (6000, "2" * 64)
    assert files[2].origin.source_path == f"chunks/{chunk_id(2)}.wav"
    assert all(0 <= one.timestamp_ms < 3000 for file in files for one in file.detections)
    assert analysed(order) == {chunk_id(n): 1 for n in range(4)}
    summary = json.loads(summary_path(order.telemetry_log).read_text())
    outputs = {name: Path(job["output"]).name for name, job in summary["jobs"].items()}
    assert outputs == {chunk_id(n): f"{chunk_id(n)}.json" for n in range(4)}
    assert summary["workers"]["cpu-0"]["success"] == 4


def test_a_second_run_does_nothing_and_mends_what_was_lost(order):
    run(order)
    before = results(order)
    order.output.chunk_json(NAME, chunk_id(1)).unlink()
    made = run(order, telemetry_log=order.telemetry_log.with_name("two.jsonl"))
    assert (made.n_skipped, made.n_succeeded) == (4, 0)
    assert results(order) == before
    assert sum(analysed(order).values()) == 4
    made = run(order, resume=False, telemetry_log=order.telemetry_log.with_name("three.jsonl"))
    assert (made.n_skipped, made.n_succeeded) == (0, 4)
    assert sum(analysed(order).values()) == 8


def test_results_without_a_journal_count_if_they_are_of_the_same_sound_and_settings(
    order, manifest
):
    run(order)
    before = results(order)
    order.work(NAME).journal(NAME).unlink()
    write_tone(manifest.parent / "chunks" / f"{chunk_id(2)}.wav", 3.0, 9)
    text = manifest.read_text()
    manifest.write_text(text.replace("2" * 64, "9" * 64))
    made = run(order, telemetry_log=order.telemetry_log.with_name("two.jsonl"))
    assert (made.n_skipped, made.n_succeeded) == (3, 1)
    changed = {name for name, content in results(order).items() if content != before[name]}
    assert changed == {f"{chunk_id(2)}.json"}
    order.work(NAME).journal(NAME).unlink()
    assert run(order, settings=settings(sensitivity=1.1)).n_skipped == 0


@pytest.mark.parametrize(
    ("other", "n_analysed"), [({"min_score": 1.0}, 0), ({"sensitivity": 1.1}, 4)]
)
def test_what_other_settings_found_is_never_taken_for_these_and_selecting_runs_no_model(
    order, other, n_analysed
):
    run(order)
    first = results(order)
    made = run(order, settings=settings(**other))
    assert (made.n_succeeded, made.n_skipped) == (n_analysed, 4 - n_analysed)
    assert sum(analysed(order).values()) == 4 + n_analysed
    assert results(order) != first
    assert run(order).n_skipped == 4
    assert results(order) == first


def test_a_missing_and_a_broken_file_cost_their_own_chunks_only(order, manifest):
    (manifest.parent / "chunks" / f"{chunk_id(1)}.wav").unlink()
    (manifest.parent / "chunks" / f"{chunk_id(2)}.wav").write_bytes(b"RIFF no sound")
    made = run(order)
    assert [name for name, _ in made.failed] == [chunk_id(1), chunk_id(2)]
    assert made.is_failure
    assert made.n_succeeded == 2
    statuses = [
        read_chunk_json(order.output.chunk_json(NAME, chunk_id(n))).status for n in range(4)
    ]
    assert statuses == ["ok", "error", "error", "ok"]
    write_tone(manifest.parent / "chunks" / f"{chunk_id(1)}.wav", 3.0, 1)
    made = run(order)
    assert (made.n_skipped, made.n_succeeded, len(made.failed)) == (2, 1, 1)
    assert analysed(order)[chunk_id(0)] == 1
    jobs = json.loads(summary_path(order.telemetry_log).read_text())["jobs"]
    assert [jobs[chunk_id(n)]["status"] for n in range(4)] == [
        *("success", "success", "failure", "success")
    ]


def test_a_failure_leaves_an_earlier_result_in_its_file(order, manifest):
    run(order)
    before = results(order)
    sound = manifest.parent / "chunks" / f"{chunk_id(1)}.wav"
    kept = sound.read_bytes()
    sound.unlink()
    two = order.telemetry_log.with_name("two.jsonl")
    made = run(order, resume=False, telemetry_log=two)
    assert [name for name, _ in made.failed] == [chunk_id(1)]
    assert (made.n_kept, made.n_succeeded, made.is_failure) == (1, 3, True)
    assert results(order) == before
    jobs = json.loads(summary_path(two).read_text())["jobs"]
    assert jobs[chunk_id(1)]["status"] == "failure"
    assert "failure" in {one["status"] for one in read_events(two)}
    sound.write_bytes(kept)
    assert run(order).n_skipped == 4


def test_an_earlier_result_of_other_settings_stays_but_counts_for_those_only(order, manifest):
    run(order)
    before = results(order)
    sound = manifest.parent / "chunks" / f"{chunk_id(1)}.wav"
    kept = sound.read_bytes()
    sound.unlink()
    others = settings(sensitivity=1.1)
    made = run(order, settings=others)
    assert (len(made.failed), made.n_kept) == (1, 1)
    name = f"{chunk_id(1)}.json"
    assert results(order)[name] == before[name]
    assert sum(content != before[one] for one, content in results(order).items()) == 3
    order.work(NAME).journal(NAME).unlink()
    sound.write_bytes(kept)
    made = run(order, settings=others, resume_summary=summary_path(order.telemetry_log))
    assert (made.n_skipped, made.n_succeeded) == (3, 1), "what failed is not taken for done"


def test_a_run_with_nothing_to_do_leaves_no_summary(order):
    run(order)
    two = order.telemetry_log.with_name("two.jsonl")
    assert run(order, telemetry_log=two).n_skipped == 4
    assert not list(two.parent.glob("two*"))
    order.telemetry_log.unlink()
    assert run(order).n_skipped == 4
    assert summary_path(order.telemetry_log).exists(), "it was there before"


def test_some_failures_may_be_tolerated(order, manifest):
    (manifest.parent / "chunks" / f"{chunk_id(1)}.wav").unlink()
    tolerant = settings().model_copy(
        update={"inference": settings().inference.model_copy(update={"max_failed_fraction": 0.25})}
    )
    made = run(order, settings=tolerant)
    assert len(made.failed) == 1
    assert not made.is_failure


def test_a_summary_says_what_to_skip_and_its_results_must_be_there(order, tmp_path):
    run(order)
    old = summary_path(order.telemetry_log)
    content = json.loads(old.read_text())
    content["jobs"]["gone_chunk_0_1"] = {**content["jobs"][chunk_id(0)], "recording_id": "gone"}
    content["jobs"][chunk_id(3)] |= {"status": "failure", "error": "no luck"}
    old.write_text(json.dumps(content))
    order.output.chunk_json(NAME, chunk_id(1)).unlink()
    new = order.telemetry_log.with_name("two.jsonl")
    made = run(order, resume=False, resume_summary=old, telemetry_log=new)
    assert (made.n_skipped, made.n_succeeded) == (2, 2)
    assert (made.n_orphans, made.n_redone) == (1, 1)
    assert {one["chunk_id"] for one in read_events(new)} == {chunk_id(1), chunk_id(3)}
    jobs = json.loads(summary_path(new).read_text())["jobs"]
    assert jobs.keys() == content["jobs"].keys(), "a summary never shrinks"
    assert {job["status"] for job in jobs.values()} == {"success"}
    third = run(order, resume=False, resume_summary=summary_path(new))
    assert (third.n_skipped, third.n_redone) == (4, 0)


def test_the_originals_summary_and_results_are_taken(order):
    jobs = {}
    for number in range(4):
        path = order.output.chunk_json(NAME, chunk_id(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"chunk_id": chunk_id(number), "recording_id": NAME, "status": "no_output"})
        )
        jobs[chunk_id(number)] = {
            "status": "success",
            "attempts": 1,
            "retries": 0,
            "output": str(path),
            "worker": "gpu-0",
            "recording_id": NAME,
            "last_backoff_s": None,
            "last_error": None,
        }
    old = order.telemetry_log.with_name("old.jsonl.summary.json")
    old.parent.mkdir()
    workers = {"gpu-0": {"success": 4, "failure": 0, "retries": 0, "failed_retries": 0}}
    old.write_text(json.dumps({"telemetry_log": "old", "workers": workers, "jobs": jobs}))
    made = run(order, resume_summary=old)
    assert (made.n_skipped, made.n_chunks) == (4, 4)
    assert not order.telemetry_log.exists()


def test_results_of_other_settings_are_not_resumed_from_a_summary(order):
    run(order)
    made = run(
        order,
        settings=settings(sensitivity=1.1),
        resume_summary=summary_path(order.telemetry_log),
        telemetry_log=order.telemetry_log.with_name("two.jsonl"),
    )
    assert (made.n_skipped, made.n_redone) == (0, 4)


def test_a_summary_that_is_none_is_refused(order, tmp_path):
    with pytest.raises(ConfigInvalid, match="no such file"):
        ManifestRun(replace(order, resume_summary=tmp_path / "x.summary.json"))
    bad = tmp_path / "bad.jsonl.summary.json"
    bad.write_text("[]")
    with pytest.raises(DatasetInvalid, match="not a telemetry summary"):
        ManifestRun(replace(order, resume_summary=bad))


@pytest.mark.parametrize("status", ["failed", "in_progress"])
def test_chunk_files_that_are_not_complete_are_refused_unless_allowed(order, tmp_path, status):
    folder = tmp_path / "elsewhere" / NAME
    folder.mkdir(parents=True)
    content = {
        "recording_id": NAME,
        "audio_path": "audio/x.wav",
        "chunk_output_dir": "c",
        "manifest_path": "m",
        "chunk_duration": 3.0,
        "overlap": 0.0,
        "updated_at": "2024-05-01T00:00:00+00:00",
        "status": status,
    }
    (folder / ".chunk_status.json").write_text(json.dumps(content))
    order = replace(order, chunks_dir=folder.parent)
    with pytest.raises(ManifestMismatch, match=f"{status}.*--allow-partial-chunks"):
        ManifestRun(order)
    made = run(order, allow_partial_chunks=True)
    assert made.n_succeeded == 4
    assert status in made.warnings[0]
    (folder / ".chunk_status.json").write_text(json.dumps({**content, "status": "completed"}))
    assert run(order).warnings == ()


def test_only_detections_that_pass_the_filters_are_kept(order):
    found = read_chunk_json_labels(order, settings())
    assert found
    made = run(order, settings=settings(exclude=tuple(found)))
    assert made.n_detections == 0
    assert read_chunk_json_labels(order, settings(exclude=tuple(found))) == set()


def read_chunk_json_labels(order: RunSpec, wanted: Settings) -> set[str]:
    run(order, settings=wanted)
    files = [read_chunk_json(order.output.chunk_json(NAME, chunk_id(n))) for n in range(4)]
    return {one.label for file in files for one in file.detections}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Returns a dataset whose one recording is described and cut with an overlap."""
    root = tmp_path / "ds, 1"
    write_tone(root / "audio" / "Sambaa K'e" / "S1" / "20240528_100000.wav", 10.0)
    overrides = {
        "chunks": {"duration_s": 4.0, "overlap_s": 1.0},
        "detector": {"name": "band_energy", "min_score": 0.3},
        "inference": {"cpu_workers": 1},
    }
    dataset = Dataset.open(root, overrides)
    cut_recordings(dataset)
    return dataset


def test_the_assets_of_a_dataset_go_on_from_what_a_manifest_run_found(dataset, tmp_path):
    name = "20240528_100000"
    order = RunSpec(
        manifests=(dataset.manifest(name),),
        settings=dataset.settings,
        output=dataset.inference,
        telemetry_log=tmp_path / "one.jsonl",
        dataset=dataset,
    )
    made = run(order)
    files = sorted(dataset.inference.recording(name).glob("*.json"))
    assert len(files) == made.n_chunks == made.n_succeeded
    with TelemetryLog(tmp_path / "two.jsonl") as telemetry:
        (outcome,) = detect_and_select(dataset, [name], telemetry)
    assert outcome.error is None
    assert outcome.value.raw.n_resumed == made.n_chunks
    assert outcome.value.table.num_rows == made.n_detections > 0
    starts = [
        read_chunk_json(path).origin.start_ms + one.timestamp_ms
        for path in files
        for one in read_chunk_json(path).detections
    ]
    assert sorted(starts) == outcome.value.table["absolute_time_ms"].to_pylist()
    assert not any("/" in read_chunk_json(path).origin.dataset_root for path in files)
