"""Workers of a lab's own models run the code that was hashed, and hear all that they are told."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.waiting import wait_until

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.registry import identify_detector
from badc_core.engine import protocol
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import ConfigInvalid
from badc_core.probing.measuring import measure_in_child
from badc_core.probing.memory_limit import MemoryLimit
from badc_core.settings import InferenceSettings, Settings

HALF = "def score(windows):\n    return [[0.5]] * len(windows)\n"


@pytest.fixture
def detector(tmp_path: Path) -> Callable[[str], DetectorSettings]:
    """Returns what makes settings for a function with one label."""
    (tmp_path / "labels.txt").write_text("any\n")
    model = {"labels": str(tmp_path / "labels.txt"), "sample_rate_hz": 8000, "window_s": 1.0}

    def make(function: str) -> DetectorSettings:
        return DetectorSettings(name="python", min_score=0.1, model={**model, "function": function})

    return make


def confidences(
    detector: DetectorSettings, identity: DetectorIdentity, tasks: list[ChunkTask]
) -> set[float]:
    wanted = Settings(detector=detector, inference=InferenceSettings(cpu_workers=1))
    with open_engine(wanted, identity, lambda _: None) as engine:
        results = list(engine.run(tasks))
    assert [one.error for one in results] == [None] * len(tasks)
    return {one.confidence for result in results for one in result.detections}


@pytest.fixture
def two_modules(tmp_path: Path, monkeypatch) -> Path:
    """Returns the folder, now the current one, with another `our_half` than the installed one."""
    for name in ("site", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "our_half.py").write_text(HALF)
    (tmp_path / "here" / "our_half.py").write_text("raise RuntimeError('not the installed one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_a_module_in_the_current_folder_is_not_the_installed_one(
    detector, make_tasks, two_modules: Path
) -> None:
    ours = detector("our_half:score")
    assert confidences(ours, identify_detector(ours), make_tasks()) == {0.5}


def test_nor_is_it_for_a_probe(detector, make_tasks, two_modules: Path) -> None:
    audio = make_tasks()[0].audio
    assert measure_in_child(audio, detector("our_half:score"), MemoryLimit(4000.0))(2.0).is_ok


def test_a_model_that_is_no_longer_the_one_that_was_hashed_is_refused(
    tmp_path: Path, detector, make_tasks
) -> None:
    source = tmp_path / "half.py"
    source.write_text(HALF)
    ours = detector(f"{source}:score")
    identity = identify_detector(ours)
    source.write_text(HALF.replace("0.5", "0.7"))
    with pytest.raises(ConfigInvalid, match=r"changed while it was being loaded\. Run again"):
        confidences(ours, identity, make_tasks())
    assert confidences(ours, identify_detector(ours), make_tasks()) == {0.7}


def test_whether_a_gpu_is_of_use_makes_no_other_model(tmp_path: Path, detector) -> None:
    (tmp_path / "half.py").write_text(HALF)
    identity = identify_detector(detector(f"{tmp_path / 'half.py'}:score"))
    identity.require_same(replace(identity, uses_gpu=not identity.uses_gpu))
    for other in ({"version": "0"}, {"companions": ()}, {"window_s": 2.0}, {"licence": "MIT"}):
        with pytest.raises(ConfigInvalid):
            identity.require_same(replace(identity, **other))


def test_a_function_that_reads_standard_input_takes_no_tasks(
    tmp_path: Path, detector, make_tasks
) -> None:
    begun = tmp_path / "begun"
    reading = f"import os, sys\nopen({str(begun)!r}, 'w').close()\nwords = sys.stdin.read()\n"
    (tmp_path / "half.py").write_text(f"{reading}os.system('cat >&2')\n{HALF}")
    ours = detector(f"{tmp_path / 'half.py'}:score")
    tasks = make_tasks()
    setup = {"detector": ours.model_dump(), "scratch": str(tmp_path)}
    lines = [protocol.encode("chunk", **protocol.task_to_json(task)) for task in tasks]
    command = [sys.executable, "-P", "-m", "badc_core.engine.worker", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as worker:
        worker.stdin.write(protocol.encode("setup", **setup))
        worker.stdin.flush()
        wait_until(begun.exists)
        told, _ = worker.communicate("".join(lines))
    kinds = [json.loads(line)["kind"] for line in told.splitlines()]
    assert kinds == ["hello", *["result"] * len(tasks)]
