"""`badc redo`: every stage's files again from files alone, the same to the byte."""

import shutil
from pathlib import Path

import pytest
from support.built_once import build_once
from support.commands import run_badc

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registry import register_recordings
from badc_core.stages.stage import STAGES
from badc_core.steps import inputs_from_files, run_step

SETTINGS = """
[detector]
name = "band_energy"
min_score = 0.1
[report]
top_detections = 3
[inference]
chunk_json = true
"""
NAMED = f'{SETTINGS}\n[recordings]\ndataset_name = "analysed"\n'
IDS = ("rec_1", "rec_2")


def files_of(dataset, stage):
    """Returns the content of every file that a stage writes, by its path in the dataset."""
    # Only other detectors leave files about chunks; those with detections are the next stage's.
    list_paths = STAGES[stage].outputs if stage == "raw_detections" else STAGES[stage].writes
    paths = [path for one in IDS for path in list_paths(dataset, one)]
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return {str(one.relative_to(dataset.root)): one.read_bytes() for one in files if one.is_file()}


@pytest.fixture(scope="module")
def analysed_once(field_audio, tmp_path_factory) -> Path:
    def analyse(folder: Path) -> None:
        (folder / "audio" / "S1").mkdir(parents=True)
        for number, one in enumerate(IDS, 1):
            shutil.copy(field_audio / f"aru_{number}.wav", folder / "audio" / "S1" / f"{one}.wav")
        (folder / "badc.toml").write_text(SETTINGS, encoding="utf-8")
        dataset = Dataset.open(folder)
        register_recordings(dataset)
        dataset = Dataset.open(folder, {"recordings": {"dataset_name": "analysed"}})
        for stage in STAGES:
            for outcome in run_step(inputs_from_files(dataset, stage, IDS, "a-run")):
                outcome.require()

    return build_once(tmp_path_factory, "analysed", analyse)


@pytest.fixture
def dataset(analysed_once, tmp_path) -> Dataset:
    shutil.copytree(analysed_once, tmp_path / "analysed")
    return Dataset.open(tmp_path / "analysed")


def test_every_stage_is_made_again_to_the_byte(dataset):
    for stage in STAGES:
        before = files_of(dataset, stage)
        assert len(before) >= len(IDS)
        for path in before:
            if not path.endswith(".duckdb"):  # in which DuckDB leaves random bytes
                (dataset.root / path).unlink()
        name = "recordings.dataset_name=analysed"
        run_badc("redo", "--set", name, "--", ".", stage, *IDS, folder=dataset.root)
        after = files_of(dataset, stage)
        assert after.keys() == before.keys()
        assert [one for one in after if after[one] != before[one]] == []


def test_the_model_runs_again_although_its_result_is_there(dataset):
    dataset.raw_detections("rec_1").write_bytes(b"damaged")
    run_badc("redo", "--", ".", "raw_detections", "rec_1", folder=dataset.root)
    (log,) = (dataset.work_folder / "telemetry").glob("redo_*.jsonl")
    assert '"status": "success"' in log.read_text(encoding="utf-8")
    assert dataset.raw_detections("rec_1").read_bytes() != b"damaged"


def test_nothing_is_written_beside_the_stages_own_files(dataset):
    def state():
        every = (one for one in dataset.root.rglob("*") if one.is_file())
        outside = (one for one in every if not one.is_relative_to(dataset.work_folder))
        return {one: one.read_bytes() for one in outside}

    (dataset.root / "badc.toml").write_text(NAMED, encoding="utf-8")
    before = state()
    for stage in STAGES:
        run_badc("redo", "--", str(dataset.root), stage, *IDS, folder=dataset.root)
    assert state() == before
    assert not [one for one in dataset.work_folder.rglob("work/*/*") if one.is_file()]


def test_a_recording_that_fails_is_named_and_gives_exit_code_1(dataset):
    done = run_badc("redo", "--", ".", "recording", "rec_9", folder=dataset.root, code=1)
    assert "rec_9: no recording of this name in the dataset" in done.stderr
