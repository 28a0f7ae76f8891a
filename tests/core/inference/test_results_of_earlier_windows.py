"""Results of versions whose windows were others: used for all chunks but those they matter to."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.detecting import cut_recordings, detect_and_select
from support.own_models import BIRD_FUNCTION, BIRD_LABELS
from support.telemetry import read_events

from badc_core.chunks.plan import Chunk, FilePlace
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import find_grid
from badc_core.detectors.windows import WindowGrid
from badc_core.engine.protocol import ChunkTask
from badc_core.inference import recording_run
from badc_core.inference.raw_result import read_raw_result
from badc_core.inference.recording_run import Keys
from badc_core.telemetry.log import TelemetryLog

CHUNK_S = 6
GRID = WindowGrid(3.0, 0.0, 48_000)


def changed(grid: WindowGrid, length_s: float, rate_hz: int) -> list[int]:
    """Returns which chunks of a recording have keys that the version before did not give."""
    keys = Keys("model", "file", uses_place=False, grid=grid)
    n_samples = round(length_s * rate_hz)
    found = []
    for number, start in enumerate(range(0, n_samples, CHUNK_S * rate_hz)):
        end = min(start + CHUNK_S * rate_hz, n_samples)
        task = ChunkTask(Path("a.wav"), n_samples, Chunk("a", start, end, 0, rate_hz))
        now = keys.plan(task, f"sound {start}")
        before = replace(keys, grid=None).plan(task, f"sound {start}")
        is_same = (now.key, now.file_key) == (before.key, before.file_key)
        assert is_same or (now.key != before.key and now.file_key != before.file_key)
        found += [] if is_same else [number]
    return found


def test_only_chunks_with_a_cut_window_at_another_rate_have_another_key() -> None:
    assert changed(GRID, 20.0, 44_100) == [3]
    assert changed(GRID, 20.0, 48_000) == []
    assert changed(GRID, 21.0, 44_100) == []
    assert changed(WindowGrid(3.0), 20.0, 44_100) == []
    # With an overlap, several windows reach past the end, of which two begin in the chunk before.
    assert changed(WindowGrid(3.0, 2.5, 48_000), 18.5, 44_100) == [2, 3]


@pytest.mark.parametrize(
    ("place", "is_other"),
    [
        (FilePlace(0), False),
        (FilePlace(60_000), False),
        (FilePlace(50_000), True),  # off the grid
        (FilePlace(60_000, held_before=5000), True),  # has windows that its neighbour cuts
        (FilePlace(60_000, held_after=6000), False),  # cuts none
        (FilePlace(57_000, held_after=500), False),
    ],
)
def test_chunk_files_whose_windows_are_the_same_keep_their_keys(
    place: FilePlace, is_other: bool
) -> None:
    chunk = Chunk("a", 0, 60_000, place.held_before, 1000, file=place)
    assert bool(WindowGrid(3.0).key_part(chunk, 60_000)) is is_other


def open_dataset(root: Path, **inference: object) -> Dataset:
    """Returns a dataset of one recording of 16 s at 32 kHz, whose model wants 48 kHz."""
    (root / "audio").mkdir(parents=True)
    noise = np.random.default_rng(3).normal(0, 0.1, 16 * 32_000)
    sf.write(root / "audio" / "a.wav", noise * np.linspace(0, 1, len(noise)), 32_000)
    (root / "labels.txt").write_text(BIRD_LABELS)
    (root / "birds.py").write_text(BIRD_FUNCTION)
    model = {
        "labels": str(root / "labels.txt"),
        "function": f"{root / 'birds.py'}:score",
        "sample_rate_hz": 48_000,
        "window_s": 3.0,
    }
    dataset = Dataset.open(
        root,
        {
            "chunks": {"duration_s": CHUNK_S},
            "detector": {"name": "python", "min_score": 0.0, "model": model},
            "inference": {"cpu_workers": 1, "chunk_json": True, **inference},
        },
    )
    cut_recordings(dataset)
    return dataset


def run(dataset: Dataset, name: str) -> Counter[str]:
    """Returns how often the model was given each chunk."""
    with TelemetryLog(dataset.telemetry(name)) as telemetry:
        (outcome,) = detect_and_select(dataset, ["a"], telemetry)
    assert outcome.error is None
    log = dataset.telemetry(name)
    events = read_events(log) if log.exists() else ()
    return Counter(one["chunk_id"] for one in events if one["status"] == "start")


def test_of_a_result_by_the_earlier_rule_only_the_cut_window_is_scored_again(
    tmp_path: Path, monkeypatch
) -> None:
    dataset = open_dataset(tmp_path / "ds")
    assert find_grid(dataset.settings.detector) == GRID
    with monkeypatch.context() as patch:  # its keys are those of the version before
        patch.setattr(recording_run, "find_grid", lambda _: None)
        assert sum(run(dataset, "before").values()) == 3
    path = dataset.raw_detections("a")
    before = read_raw_result(path, "a").keys
    assert run(dataset, "now") == {"a_chunk_12000_16000": 1}
    now = read_raw_result(path, "a").keys
    assert now[:2] == before[:2]
    assert now[2] != before[2]
    assert run(dataset, "again") == {}
