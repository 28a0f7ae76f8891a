"""Models of a lab's own in whole runs of `badc infer`, among them those of `docs/own-models.md`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.commands import run_badc
from support.own_models import write_loudness_model
from support.telemetry import read_events

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[3] / "docs" / "own-models.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
WINDOW = 144_000


def block(kind: str, words: str) -> str:
    """Returns the one block of the page with some words in it."""
    (found,) = [text for one, text in BLOCKS if one == kind and words in text]
    return found


@pytest.fixture
def root(tmp_path: Path, field_audio: Path) -> Path:
    """Returns a dataset's folder with 31.5 s of the soundscape in it, cut into three chunks."""
    root = tmp_path / "our lab"
    (root / "audio").mkdir(parents=True)
    samples, rate_hz = sf.read(field_audio / "soundscape.flac", frames=1_512_000, dtype="float32")
    sf.write(root / "audio" / "rec.wav", samples, rate_hz, subtype="FLOAT")
    cut = ("chunk", "manifest", "audio/rec.wav", "--chunk-duration", 12, "--output", "m.csv")
    run_badc(*cut, folder=root)
    return root


@pytest.fixture
def infer(root: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Returns what runs a detector over the recording from a folder that is not the dataset's."""

    def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        words = ("infer", "run", root / "m.csv", "--cpu-workers", 1, *words)
        return run_badc(*words, folder=tmp_path, code=code)

    return run


def found_in(root: Path) -> dict[tuple[int, str], float]:
    """Returns the confidence of each label of each window, by its start in ms."""
    found = {}
    for path in sorted((root / "artifacts" / "infer").rglob("*.json")):
        chunk = json.loads(path.read_text("utf-8"))
        assert chunk["status"] in {"ok", "no_detections"}
        for one in chunk["detections"]:
            start_ms = chunk["chunk"]["start_ms"] + one["timestamp_ms"]
            found[start_ms, one["label_name"]] = one["confidence"]
    return found


def windows(root: Path) -> np.ndarray:
    samples, _ = sf.read(root / "audio" / "rec.wav", dtype="float32")
    whole = np.zeros(-(-len(samples) // WINDOW) * WINDOW, np.float32)
    whole[: len(samples)] = samples
    return whole.reshape(-1, WINDOW)


def test_the_pages_network_runs_as_the_page_says(root: Path, infer) -> None:
    program = block("python", "from onnx import")
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
    (root / "loud.txt").write_text("Any sound\n")
    (root / "badc.toml").write_text(block("toml", 'file = "loud.onnx"'))
    infer()
    loudness = np.sqrt((windows(root).astype(float) ** 2).mean(axis=1))
    expected = {(3000 * n, "Any sound"): one for n, one in enumerate(loudness) if one >= 0.001}
    assert len(expected) > 5
    assert found_in(root) == pytest.approx(expected, abs=1e-5)
    assert "all 3 chunks have their result" in infer().stdout
    (root / "loud.txt").write_text("Sound\n")
    infer()
    assert {label for _, label in found_in(root)} == {"Sound"}


def test_the_pages_function_runs_as_the_page_says(root: Path, infer) -> None:
    (root / "loud.py").write_text(block("python", "def score(windows):"))
    (root / "loud.csv").write_text(block("csv", "A loud moment"))
    (root / "badc.toml").write_text(block("toml", 'function = "loud.py:score"'))
    infer("--min-score", 0.0075)
    peaks = np.abs(windows(root)).max(axis=1)
    expected = {(3000 * n, "A loud moment"): one for n, one in enumerate(peaks) if one >= 0.0075}
    assert 3 < len(expected) < 11
    assert found_in(root) == pytest.approx(expected, abs=1e-5)


def test_a_network_that_does_not_fit_stops_the_run_with_one_sentence(root: Path, infer) -> None:
    write_loudness_model(root / "model.onnx", ("n", 24_000), gain=4000.0, shift=-40.0)
    (root / "labels.txt").write_text("one\ntwo\nthree\nfour\n")

    def refused(**model: object) -> str:
        given = {"file": "model.onnx", "labels": "labels.txt", "sample_rate_hz": 8000, **model}
        lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
        (root / "badc.toml").write_text("\n".join(["[detector.model]", *lines]))
        return infer("--detector", "onnx", code=1).stderr

    told = refused(window_s=5.0)
    assert "24000 samples, but window_s times sample_rate_hz is 40000" in " ".join(told.split())
    assert "Traceback" not in told
    told = refused(window_s=3.0)
    assert 'detector.model.activation to "sigmoid"' in " ".join(told.split())
    assert told.count("not from 0 to 1") == 1
    (root / "model.onnx").unlink()
    assert "there is no such file" in refused(window_s=3.0)
    assert found_in(root) == {}


def test_a_function_that_fails_later_costs_its_chunk_only_and_says_why(root: Path, infer) -> None:
    source = (
        "import numpy as np\n"
        "def score(windows):\n"
        "    if np.abs(windows).max() > 0.013:\n"
        "        raise ValueError('too loud for us')\n"
        "    return np.full((len(windows), 1), 0.5)\n"
    )
    (root / "ours.py").write_text(source)
    (root / "labels.txt").write_text("Quiet\n")
    settings = block("toml", 'function = "loud.py:score"').replace("loud.py", "ours.py")
    (root / "badc.toml").write_text(settings.replace("loud.csv", "labels.txt"))
    loud = np.abs(windows(root)).max(axis=1) > 0.013
    assert [loud[:4].any(), loud[4:].any()] == [False, True]
    log = root / "log.jsonl"
    done = infer("--max-retries", 0, "--telemetry-log", log, code=1)
    assert "too loud for us" in done.stdout + done.stderr
    events = [one for one in read_events(log) if "too loud for us" in json.dumps(one)]
    assert any("ours.py:4" in json.dumps(one) for one in events)
    assert "1 of 3" in done.stdout + done.stderr
