"""Which detectors and settings a lineage names: those of the file asked about, or none."""

import shutil

import pytest
from support.commands import run_badc
from support.detecting import detect_in_process
from support.finished_dataset import MARSH_1, MARSH_2, RIDGE, add_corpus, copy_finished
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS
from badc_core.detections.store import FINGERPRINT_KEY, read_metadata, write_detections
from badc_core.lineage.tracing import trace
from badc_core.reports.bundle import write_bundle


@pytest.fixture
def own(tmp_path_factory, tmp_path) -> Dataset:
    return copy_finished(tmp_path_factory, tmp_path / "own")


def detect_again(dataset: Dataset, recording_ids: list[str], **detector: object) -> str:
    """Detects with other settings, and returns their hash."""
    detect_in_process(Dataset.open(dataset.root, {"detector": detector}), recording_ids)
    return hash_of(dataset, recording_ids[0])


def hash_of(dataset: Dataset, recording_id: str) -> str:
    return read_metadata(dataset.detections(recording_id))[FINGERPRINT_KEY]


def test_every_detector_that_found_nothing_is_named(own):
    stub = detect_again(own, [RIDGE], name="stub")
    strict = detect_again(own, [MARSH_2], min_score=0.999)
    add_corpus(own)
    found = trace(own.corpus.duckdb)
    used = {one.config_hash: one for one in found.detectors}
    assert used.keys() == {hash_of(own, MARSH_1), strict, stub}
    assert (used[stub].name, used[strict].settings["min_score"]) == ("stub", 0.999)
    assert (found.unknown, found.n_recordings) == ((), 3)


def test_detections_newer_than_the_corpus_do_not_speak_for_it(own):
    before = hash_of(own, MARSH_1)
    detect_again(own, [MARSH_1], min_score=0.3)
    (used,) = trace(own.corpus.duckdb).detectors
    assert (used.config_hash, used.settings["min_score"]) == (before, 0.25), "MARSH_2 has them"
    for one in (MARSH_2, RIDGE):
        shutil.copy(own.detections(MARSH_1), own.detections(one))
    found = trace(own.corpus.duckdb)
    (used,) = found.detectors
    assert (used.name, used.config_hash, used.settings) == ("band_energy", before, {})
    assert f"which detector found nothing in {RIDGE} is not known" in found.unknown[0]
    assert f"band_energy with config_hash {before} are not known" in found.unknown[1]


def test_detections_newer_than_the_report_do_not_speak_for_it(own):
    before = hash_of(own, MARSH_1)
    after = detect_again(own, [MARSH_1], min_score=0.3)
    found = trace(own.bundle(MARSH_1).html)
    (used,) = found.detectors
    assert (used.name, used.config_hash, used.settings) == ("band_energy", before, {})
    assert "the report is older than the detections" in found.unknown[0]
    assert trace(own.detections(MARSH_1)).detectors[0].config_hash == after
    write_bundle(own, MARSH_1)
    found = trace(own.bundle(MARSH_1).html)
    assert (found.detectors[0].config_hash, found.unknown) == (after, ())


def test_a_table_gathered_by_hand_says_what_its_rows_say(tmp_path):
    write_tone(tmp_path / "pond" / "audio" / "a.wav", 5.0)
    root, table = tmp_path / "pond", tmp_path / "pond/artifacts/aggregate/a.parquet"
    run_badc("scan", root, folder=root)
    run_badc("chunk", "manifest", root / "audio/a.wav", "--output", "m.csv", folder=root)
    words = ("infer", "run", "m.csv", "--detector", "band_energy", "--cpu-workers", 1)
    run_badc(*words, folder=root)
    run_badc("infer", "aggregate", "artifacts/infer", "--parquet", table, folder=root)
    found = trace(table)
    (used,) = found.detectors
    (chunk,) = trace(next((root / "artifacts/infer/a").glob("*.json"))).detectors
    assert (used.name, used.version) == ("band_energy", chunk.version)
    assert used.config_hash == chunk.config_hash != ""
    assert any("the settings are not known" in one for one in found.unknown)


def test_what_found_nothing_in_a_table_that_does_not_say_is_not_known(own):
    write_detections(own.detections(MARSH_1), DETECTIONS.empty_table())
    found = trace(own.detections(MARSH_1))
    assert found.detectors == ()
    assert "detector and settings are not known" in found.unknown[0]
