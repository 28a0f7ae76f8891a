"""Contents that a step fetched, and no scan has seen."""

import shutil
from pathlib import Path

import pytest
from support.sounds import write_tone

from badc_core.annexed_files import is_key_of
from badc_core.datasets.dataset import Dataset
from badc_core.hashing import fingerprint_file
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import Registry, read_registry, register_recordings
from badc_core.stages import describing
from badc_core.stages.describing import describe_recordings
from badc_core.steps import inputs_from_files

IDS = ("a", "b", "c")


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Returns a dataset whose scan could read no content."""
    for number, one in enumerate(IDS):
        write_tone(tmp_path / "audio" / f"{one}.wav", 0.5, number)
    dataset = Dataset.open(tmp_path)
    Registry(RegisteredRecording(one, f"audio/{one}.wav") for one in IDS).write(dataset.registry)
    return dataset


def known(dataset: Dataset) -> dict[str, str | None]:
    return {one.recording_id: one.fingerprint for one in read_registry(dataset.registry)}


def annex(dataset: Dataset, one: str, key: str) -> Path:
    """Puts a link into an annex in place of a recording; returns where it leads."""
    path, stored = dataset.root / "audio" / f"{one}.wav", dataset.root / ".git/annex/objects" / key
    stored.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, stored)
    path.symlink_to(stored)
    return stored


def test_a_step_that_is_killed_loses_the_contents_of_its_last_minute_alone(dataset, monkeypatch):
    monkeypatch.setattr(describing, "_ENTER_EVERY_S", 0.0)
    outcomes = describe_recordings(inputs_from_files(dataset, "recording", IDS, "run"))
    next(outcomes)
    assert known(dataset)["a"] == fingerprint_file(dataset.audio("audio/a.wav"), "sampled")
    outcomes.close()


def test_a_file_that_is_replaced_meanwhile_does_not_get_the_content_from_before(dataset):
    dropped = annex(dataset, "a", "MD5E-s1--1.wav")
    other = annex(dataset, "b", "MD5E-s1--2.wav")
    read = fingerprint_file(dropped, "sampled")
    outcomes = describe_recordings(inputs_from_files(dataset, "recording", IDS, "run"))
    for _ in IDS:
        assert next(outcomes).error is None
    dropped.unlink()
    other.unlink()
    dataset.audio("audio/b.wav").unlink()
    dataset.audio("audio/b.wav").symlink_to(other.with_name("MD5E-s1--3.wav"))
    write_tone(dataset.audio("audio/c.wav"), 0.7, 9)
    register_recordings(dataset)
    assert next(outcomes, None) is None
    now = fingerprint_file(dataset.audio("audio/c.wav"), "sampled")
    assert known(dataset) == {"a": read, "b": None, "c": now}


def test_a_key_names_the_size_of_a_content_and_perhaps_its_checksum():
    for key, sha256, is_of in (
        ("MD5E-s12--0123.wav", "ab", True),
        ("MD5E-s13--0123.wav", "ab", False),
        ("SHA256E-s12--ab.wav", "ab", True),
        ("SHA256E-s12--ab.wav", None, True),
        ("SHA256-s12-m5--cd", "ab", False),
        ("", "ab", False),
    ):
        assert is_key_of(key, 12, sha256) == is_of, key
