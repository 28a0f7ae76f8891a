"""Detectors that must hear a recording whole get it so, however chunks are set."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.hawkears import LONGEST_WHOLE_S
from badc_core.detectors.registry import choose_chunks
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings
from badc_core.stages.stage import STAGES

HAWKEARS = ("hawkears", "hawkears1")


def open_dataset(root: Path, name: str, **chunks: float) -> Dataset:
    (root / "audio").mkdir(exist_ok=True)
    return Dataset.open(root, {"detector": {"name": name}, "chunks": chunks})


@pytest.mark.parametrize("name", ["birdnet", "band_energy", "command", "onnx", "python"])
def test_other_detectors_hear_chunks_as_they_are_set(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(tmp_path, name, duration_s=30, overlap_s=2)
    assert choose_chunks(dataset.settings) == dataset.settings.chunks
    # What the version before hashed: none of their manifests is due again.
    wanted = {"settings": dataset.settings.chunks.model_dump()}
    assert STAGES["chunk_manifest"].settings(dataset) == wanted


@pytest.mark.parametrize("name", HAWKEARS)
def test_manifests_with_short_chunks_are_outdated_and_no_setting_brings_them_back(
    name: str, tmp_path: Path
) -> None:
    asked = [
        STAGES["chunk_manifest"].settings(open_dataset(tmp_path, name, **chunks))
        for chunks in ({}, {"duration_s": 30.0}, {"duration_s": 60.0, "overlap_s": 5.0})
    ]
    assert asked[0] == asked[1] == asked[2]
    for chunks in ({}, {"duration_s": 30.0}):
        before = open_dataset(tmp_path, "birdnet", **chunks)
        assert asked[0] != STAGES["chunk_manifest"].settings(before)


@pytest.mark.parametrize("name", HAWKEARS)
def test_recordings_are_one_chunk_up_to_the_limit_and_are_cut_there_beyond(
    name: str, tmp_path: Path
) -> None:
    dataset = open_dataset(tmp_path, name, duration_s=30)
    for stem, length_s in (("short", LONGEST_WHOLE_S), ("long", 2 * LONGEST_WHOLE_S + 60)):
        noise = np.random.default_rng(1).normal(0, 0.1, round(100 * length_s))
        sf.write(tmp_path / "audio" / f"{stem}.wav", noise, 100, subtype="PCM_16")
    ends_s = {}
    for registered in register_recordings(dataset).registry:
        one = registered.recording_id
        describe_recording(dataset, registered).write(dataset.recording(one))
        chunks = write_manifest(dataset, one, choose_chunks(dataset.settings)).chunks
        ends_s[one] = [chunk.end_sample / 100 for chunk in chunks]
    limit = LONGEST_WHOLE_S
    assert ends_s == {"short": [limit], "long": [limit, 2 * limit, 2 * limit + 60]}
