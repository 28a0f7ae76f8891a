"""Digital silence that a model of one's own has no scores for, from its windows to the effort."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from support.detecting import cut_recordings, detect_in_process

from badc_core.chunks.plan import Chunk
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import NOT_ANALYSED_KEY, read_effort, read_metadata
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.inference.journal import Journal
from badc_core.inference.raw_result import read_raw_result
from badc_core.intervals import clip, length_of, subtract, unite
from badc_core.reports.bundle import write_bundle

RATE_HZ = 8000
SOURCE = """
import numpy as np

def score(windows):
    loud = windows.std(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return 0.5 * loud / loud
"""


@pytest.fixture
def open_dataset(tmp_path: Path):
    """Returns what opens a dataset of one recording: 3 s of sound, 6 s of zeros, 3 s of sound."""
    noise = np.random.default_rng(2).normal(0, 0.1, (12 * RATE_HZ, 2))
    noise[3 * RATE_HZ : 9 * RATE_HZ] = 0
    (tmp_path / "audio" / "S").mkdir(parents=True)
    sf.write(tmp_path / "audio" / "S" / "a.wav", noise, RATE_HZ)
    (tmp_path / "score.py").write_text(SOURCE)
    (tmp_path / "labels.txt").write_text("any\n")
    model = {
        "function": "score.py:score",
        "labels": "labels.txt",
        "sample_rate_hz": RATE_HZ,
        "window_s": 1.0,
    }

    def open_(channel: str = "mean", overlap_s: float = 0.0) -> Dataset:
        overrides = {
            "recordings": {"channel": channel},
            "chunks": {"duration_s": 5.0, "min_chunk_s": 1.0},
            "detector": {"name": "python", "model": model, "window_overlap_s": overlap_s},
        }
        dataset = Dataset.open(tmp_path, overrides)
        cut_recordings(dataset)
        return dataset

    return open_


def test_a_stuck_input_is_silence_too(open_dataset, tmp_path: Path) -> None:
    path = tmp_path / "audio" / "S" / "a.wav"
    sound, rate_hz = sf.read(path)
    sound[3 * RATE_HZ : 9 * RATE_HZ] = 0.25
    sf.write(path, sound, rate_hz)
    found = detect_in_process(open_dataset(), ["a"])["a"]
    assert (found.table.num_rows, found.effort_s) == (6, 6.0)


@pytest.mark.parametrize("channel", ["mean", "each"])
def test_digital_silence_is_no_effort_and_said_on_the_page(open_dataset, channel: str) -> None:
    dataset = open_dataset(channel)
    found = detect_in_process(dataset, ["a"])["a"]
    assert found.table.num_rows == 6
    assert found.effort_s == 6.0
    assert read_effort(dataset.effort("a"))["effort_s"].to_pylist() == [3.0, 1.0, 2.0]
    assert read_metadata(dataset.detections("a"))[NOT_ANALYSED_KEY] == "6.0"
    write_bundle(dataset, "a")
    page = dataset.bundle("a").html.read_text(encoding="utf-8")
    assert "6.0 s of digital silence not analysed: the model has no scores for it." in page
    raw = read_raw_result(dataset.raw_detections("a"), "a")
    assert raw.not_analysed_s == 6.0
    assert [one.not_analysed for one in raw.results] == [
        ((3 * RATE_HZ, 5 * RATE_HZ),),
        ((5 * RATE_HZ, 9 * RATE_HZ),),
        (),
    ]
    again = detect_in_process(dataset, ["a"])["a"]
    assert (again.raw.n_resumed, again.effort_s) == (3, 6.0)


def test_what_another_window_has_scored_is_analysed(open_dataset) -> None:
    # Those that begin at 2.5 s and 8.5 s have sound in them.
    found = detect_in_process(open_dataset(overlap_s=0.5), ["a"])["a"]
    assert found.raw.not_analysed_s == 5.0
    assert found.effort_s == 6.0  # all 6 s are dead, whoever scores them


def test_where_one_channel_has_sound_each_analyses_that(open_dataset, tmp_path: Path) -> None:
    dataset = open_dataset("each")
    path = tmp_path / "audio" / "S" / "a.wav"
    sound, _ = sf.read(path)
    sound[:, 0] = 0
    sf.write(path, sound, RATE_HZ)
    assert detect_in_process(dataset, ["a"])["a"].raw.not_analysed_s == 6.0


def test_a_journal_and_a_chunks_file_have_it(tmp_path: Path) -> None:
    task = ChunkTask(Path("a.wav"), 90, Chunk("a", 0, 90, 0, 10))
    result = ChunkResult(task, (), None, 1.0, "cpu-0", not_analysed=((0, 20), (50, 90)))
    journal = Journal(tmp_path / "a.jsonl")
    journal.append("key", result)
    assert journal.known({"key": task})["key"].not_analysed == ((0, 20), (50, 90))


_INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


@given(_INTERVALS, _INTERVALS, st.integers(0, 30), st.integers(0, 30))
def test_intervals_are_sets_of_numbers(some, others, start: int, end: int) -> None:
    def numbers(intervals) -> set[int]:
        return {n for first, last in intervals for n in range(first, last)}

    both, rest = unite([*some, *others]), subtract(some, others)
    assert numbers(both) == numbers(some) | numbers(others)
    assert numbers(rest) == numbers(some) - numbers(others)
    assert length_of(clip(unite(some), start, end)) == len(numbers(some) & set(range(start, end)))
    for ordered in (both, rest):
        flat = [edge for one in ordered for edge in one]
        assert flat == sorted(set(flat))
