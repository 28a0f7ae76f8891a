"""Files of one recording copied over another's cost that recording, and no other."""

import shutil
from pathlib import Path

import pytest
from support.detecting import cut_recordings, detect_and_select
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, DatasetInvalid, ManifestMismatch
from badc_core.telemetry.log import TelemetryLog

NAMES = ("a", "b", "c")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Returns a dataset of three different recordings, cut into chunks."""
    for number, name in enumerate(NAMES):
        write_tone(tmp_path / "audio" / f"{name}.wav", 6.0, number)
    (tmp_path / "badc.toml").write_text('[detector]\nname = "band_energy"\n')
    dataset = Dataset.open(tmp_path, {"inference": {"cpu_workers": 1}})
    cut_recordings(dataset)
    return dataset


def errors(dataset: Dataset) -> dict[str, BadcError]:
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        outcomes = list(detect_and_select(dataset, NAMES, telemetry))
    assert {outcome.recording_id for outcome in outcomes} == set(NAMES)
    return {one.recording_id: one.error for one in outcomes if one.error is not None}


def test_description_and_manifest_of_another_recording(dataset) -> None:
    shutil.copyfile(dataset.recording("a"), dataset.recording("c"))
    shutil.copyfile(dataset.manifest("a"), dataset.manifest("c"))
    (error,) = errors(dataset).items()
    assert error[0] == "c"
    assert isinstance(error[1], DatasetInvalid)
    assert "c.json: this is the description of another recording, a" in str(error[1])
    assert dataset.detections("a").exists()
    assert dataset.detections("b").exists()
    assert not dataset.detections("c").exists()


def test_the_manifest_of_another_recording(dataset) -> None:
    shutil.copyfile(dataset.manifest("a"), dataset.manifest("c"))
    (error,) = errors(dataset).items()
    assert error[0] == "c"
    assert isinstance(error[1], ManifestMismatch)
    assert "c.csv: it is the manifest of another recording, a" in str(error[1])
