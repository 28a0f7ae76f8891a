"""Every detector ready to run, and real recordings at the rates and lengths that field work has."""

import shlex
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from support.built_once import build_once
from support.own_models import (
    BIRD_FUNCTION,
    BIRD_LABELS,
    BIRD_RATE_HZ,
    BIRD_WINDOW_S,
    write_bird_model,
)
from support.random_hawkears import copy_installed

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.hawkears.home import HawkEarsHome
from badc_core.detectors.interface import NO_CONTEXT, Detection, Detector, RecordingContext
from badc_core.detectors.registry import load_detector
from badc_core.errors import DetectorMissing
from badc_core.settings import ChunkSettings

SOUNDSCAPE_HZ = 48_000
_LENGTH_S = 25.3

_PROGRAM = '''
"""Finds 3-s windows in which a band has loud moments."""

import argparse
import json

import numpy as np
import soundfile as sf

FRAME = 1024
BANDS = {("Low sound", "LOW"): (500, 3000), ("High sound", "HIGH"): (3000, 12000)}

parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True)
parser.add_argument("--output", required=True)
arguments = parser.parse_args()

sound, rate_hz = sf.read(arguments.input, dtype="float32")
hz = np.fft.rfftfreq(FRAME, 1 / rate_hz)
found = []
for start in range(0, len(sound), 3 * rate_hz):
    window = sound[start : start + 3 * rate_hz]
    if len(window) < FRAME:
        continue
    frames = np.lib.stride_tricks.sliding_window_view(window, FRAME)[::FRAME]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) ** 2
    for (name, code), (low_hz, high_hz) in BANDS.items():
        band = power[:, (hz >= low_hz) & (hz < high_hz)].sum(axis=1)
        contrast_db = 10 * np.log10((np.quantile(band, 0.9) + 1e-4) / (np.median(band) + 1e-4))
        found.append(
            {
                "timestamp_ms": round(1000 * start / rate_hz),
                "end_ms": round(1000 * (start + len(window)) / rate_hz),
                "label": code,
                "label_code": code,
                "label_name": name,
                "confidence": float(np.clip((contrast_db - 1) / 9, 0, 1)),
            }
        )
with open(arguments.output, "w") as file:
    json.dump({"status": "ok", "runner": "custom", "detections": found}, file)
print("done", len(found))
'''

_PLACES = [
    ("CA-ON", "COYE", 0.4),
    ("CA-ON", "NOFL", 0.0),
    ("CA-ON", "MODO", 0.3),
    ("CA-ON", "GCKI", 0.2),
]


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """Returns a script that the detector `command` can run with this interpreter."""
    path = tmp_path_factory.mktemp("a program") / "loud windows.py"
    path.write_text(_PROGRAM)
    return path


@pytest.fixture(scope="session")
def bird_models(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Returns what `detector.model` says for each detector of a lab's own models."""
    folder = tmp_path_factory.mktemp("our models")
    labels, function = folder / "labels.txt", folder / "our birds.py"
    labels.write_text(BIRD_LABELS)
    function.write_text(BIRD_FUNCTION)
    both = {"labels": str(labels), "sample_rate_hz": BIRD_RATE_HZ, "window_s": BIRD_WINDOW_S}
    network = str(write_bird_model(folder / "birds.onnx"))
    return {
        "onnx": {**both, "file": network, "activation": "sigmoid"},
        "python": {**both, "function": f"{function}:score"},
    }


@pytest.fixture(scope="session")
def make_hawkears1(tmp_path_factory) -> Callable[[], Path]:
    """Returns what makes a HawkEars 1 checkout whose analyze.py is the stand-in."""

    def make() -> Path:
        checkout = tmp_path_factory.mktemp("HawkEars 1")
        shutil.copyfile(Path(__file__).with_name("hawkears1_stand_in.py"), checkout / "analyze.py")
        (checkout / "data" / "ckpt").mkdir(parents=True)
        for number in range(2):
            (checkout / "data" / "ckpt" / f"net{number}.ckpt").write_bytes(b"weights %d" % number)
        (checkout / "data" / "ignore.txt").write_text("Noise\nOther\n")
        _write_occurrences(checkout / "data" / "occurrence.db")
        # A wrapper instead of a link, since an interpreter finds its packages by its own path.
        python = checkout / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        return checkout

    return make


def _write_occurrences(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE occurrence (region, code, value)")
    database.execute("CREATE TABLE place (region, south, north, west, east)")
    database.executemany("INSERT INTO occurrence VALUES (?, ?, ?)", _PLACES)
    database.execute("INSERT INTO place VALUES ('CA-ON', 42, 57, -95, -74)")
    database.commit()
    database.close()


@pytest.fixture(scope="session")
def hawkears1(make_hawkears1) -> Path:
    """Returns a checkout that nobody changes."""
    return make_hawkears1()


@pytest.fixture(scope="session")
def hawkears_home(lacking, tmp_path_factory) -> HawkEarsHome:
    """Returns HawkEars 2 as it is installed here, but with small random networks."""
    try:
        return HawkEarsHome(build_once(tmp_path_factory, "hawkears", copy_installed))
    except DetectorMissing as error:
        lacking(f"{error}, as `make hawkears` does")


@pytest.fixture(scope="session")
def needed(request) -> Callable[[str], dict[str, Any]]:
    """Returns what gives the settings without which a detector cannot be loaded here."""

    @cache
    def give(name: str) -> dict[str, Any]:
        if name == "command":
            script = request.getfixturevalue("program")
            return {"command": shlex.join([sys.executable, str(script)])}
        if name in {"onnx", "python"}:
            return {"model": request.getfixturevalue("bird_models")[name]}
        if name == "hawkears1":
            return {"runtime": str(request.getfixturevalue("hawkears1"))}
        if name == "hawkears":
            return {"runtime": str(request.getfixturevalue("hawkears_home").root)}
        return {}

    return give


@pytest.fixture(scope="session")
def load(lacking, needed) -> Iterator[Callable[..., Detector]]:
    """Yields what loads a detector, once for each of its settings."""
    loaded: list[Detector] = []

    @cache
    def load_once(name: str, **settings: float) -> Detector:
        try:
            detector = load_detector(DetectorSettings(name=name, **needed(name), **settings))
        except DetectorMissing as error:
            lacking(str(error))
        loaded.append(detector)
        return detector

    yield load_once
    for detector in loaded:
        detector.close()


@pytest.fixture(scope="session")
def detect_chunk() -> Callable[..., list[Detection]]:
    """Returns what runs a detector over one chunk."""

    def run(
        detector: Detector,
        audio: AudioFile,
        chunk: Chunk,
        recording_context: RecordingContext = NO_CONTEXT,
    ) -> list[Detection]:
        found = []
        for batch in detector.batches(audio, chunk, recording_context):
            lists = detector.detect(batch)
            assert len(lists) == len(batch) >= 1
            found += [one for some in lists for one in some]
        return found

    return run


@pytest.fixture(scope="session")
def detect(detect_chunk) -> Callable[..., list[Detection]]:
    """Returns what runs a detector over a recording cut as told; asks nothing twice."""

    @cache
    def run(
        detector: Detector,
        path: Path,
        recording_context: RecordingContext = NO_CONTEXT,
        **chunks: float,
    ) -> list[Detection]:
        with AudioFile(path) as audio:
            plan = plan_chunks(
                "rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings(**chunks)
            )
            return [
                found
                for chunk in plan
                for found in detect_chunk(detector, audio, chunk, recording_context)
            ]

    return run


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch) -> Path:
    """Returns the empty folder in which `tempfile` makes files during the test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def soundscape(field_audio: Path, tmp_path_factory) -> Path:
    """Returns 25.3 s of the soundscape at 48 kHz, mono: several birds, and no round length."""
    samples, rate_hz = sf.read(field_audio / "soundscape.flac", dtype="float32")
    assert rate_hz == SOUNDSCAPE_HZ
    path = tmp_path_factory.mktemp("sound") / "soundscape.wav"
    sf.write(path, samples[: round(_LENGTH_S * rate_hz)], rate_hz, subtype="FLOAT")
    return path
