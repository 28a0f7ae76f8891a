"""Windows of many chunks in one batch, and batches that do not fit into memory."""

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk, halve_chunk
from badc_core.detectors.interface import (
    Detection,
    DetectorIdentity,
    Label,
    RecordingContext,
    WindowBatch,
)
from badc_core.detectors.registry import identify_detector
from badc_core.detectors.windows import WindowGrid
from badc_core.engine import protocol
from badc_core.engine.batching import Batching
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.engine.worker import Worker
from badc_core.errors import BadcError, DetectorFailed, OutOfMemory
from badc_core.settings import Settings
from badc_core.telemetry.attempts import Attempt

RATE_HZ = 16_000

_JOINER = '''
"""Finds how loud each window is, and writes down how many it was given at once.

Its orders are files: `batch_windows`, `limit` and `limit_error` say their value.
"""

import os
import time
from pathlib import Path

import numpy as np

from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.detectors.windows import WindowGrid

HERE = Path(__file__).parent


class OutOfMemoryError(Exception):
    """Named as torch names its own."""


ERRORS = {
    "RuntimeError": RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "OutOfMemoryError": OutOfMemoryError("no room"),
    "MemoryError": MemoryError(),
}


def ordered(name, otherwise):
    path = HERE / name
    return path.read_text() if path.exists() else otherwise


def note(name, text):
    descriptor = os.open(HERE / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\\n".encode())
    os.close(descriptor)


class Joiner:
    identity = DetectorIdentity("joiner", "1", None, "MIT", 3.0)

    def __init__(self):
        self.batch_windows = int(ordered("batch_windows", 8))
        self.limit = int(ordered("limit", 10**9))
        self.error = ERRORS[ordered("limit_error", "RuntimeError")]

    def report(self):
        return None

    def close(self):
        pass

    def batches(self, audio, chunk, recording_context):
        return WindowGrid(3.0).read(audio, chunk)

    def detect(self, batch):
        note("sizes", len(batch))
        time.sleep(0.02)
        if len(batch) > self.limit:
            note("failures", len(batch))
            raise self.error
        peaks = [float(np.abs(window).max()) for window in batch.windows]
        label = Label("How loud", "LOUD")
        spans = zip(batch.starts, batch.ends, peaks)
        return [[Detection(start, end, label, peak)] for start, end, peak in spans]


def identify(settings):
    return Joiner.identity


def load(settings):
    return Joiner()
'''

_FILER = '''
"""Analyses a whole chunk at once, as a program that is given a file, unless it is too long.

`longest_s` says how many seconds fit; `too_long` collects what did not; `raise` names a chunk.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from badc_core.chunks.plan import Chunk, halve_chunk
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.detectors.windows import WindowGrid
from badc_core.errors import OutOfMemory

HERE = Path(__file__).parent


@dataclass
class File:
    chunk: Chunk
    windows: list

    def __len__(self):
        return 1


class Filer:
    identity = DetectorIdentity("filer", "1", None, "MIT", 3.0)
    batch_windows = 1

    def report(self):
        return None

    def close(self):
        pass

    def batches(self, audio, chunk, recording_context):
        windows = []
        for batch in WindowGrid(3.0).read(audio, chunk):
            windows += zip(batch.starts, batch.ends, (np.abs(one).max() for one in batch.windows))
        yield File(chunk, windows)

    def detect(self, batch):
        longest_s = float((HERE / "longest_s").read_text())
        never = HERE / "never_fits"
        is_doomed = never.exists() and batch.chunk.recording_id == never.read_text()
        if batch.chunk.duration_s > longest_s or is_doomed:
            with (HERE / "too_long").open("a") as file:
                print(batch.chunk.chunk_id, file=file)
            raise OutOfMemory("the program speaks of memory", batch.chunk.chunk_id)
        label = Label("How loud", "LOUD")
        return [[Detection(start, end, label, float(peak)) for start, end, peak in batch.windows]]


def identify(settings):
    return Filer.identity


def load(settings):
    return Filer()
'''


@pytest.fixture
def joiner(install_detector) -> Callable[..., Path]:
    """Returns what installs the detector `joiner` with its orders; gives its folder."""
    site = install_detector("joiner", _JOINER)

    def order(**orders: object) -> Path:
        for name in ("sizes", "failures"):
            (site / name).unlink(missing_ok=True)
        for name, value in orders.items():
            (site / name).write_text(str(value))
        return site

    return order


@pytest.fixture
def filer(install_detector) -> Path:
    """Installs the detector `filer`, for which 31 s fit; returns its folder."""
    site = install_detector("filer", _FILER)
    (site / "longest_s").write_text("31")
    return site


def run(
    name: str, tasks: list[ChunkTask], workers: int = 1, **inference: object
) -> tuple[dict[str, ChunkResult], list[Attempt]]:
    """Returns the results by chunk_id and the attempts that ended, of real worker processes."""
    wanted = Settings.model_validate(
        {
            "detector": {"name": name},
            "inference": {"cpu_workers": workers, "backoff_s": 0.01, **inference},
        }
    )
    attempts: list[Attempt] = []
    with open_engine(wanted, identify_detector(wanted.detector), attempts.append) as engine:
        results = list(engine.run(tasks))
    assert len({one.chunk.chunk_id for one in results}) == len(results) == len(tasks)
    ended = [one for one in attempts if one.status != "start"]
    return {one.chunk.chunk_id: one for one in results}, ended


def found(results: dict[str, ChunkResult]) -> dict[str, tuple[Detection, ...]]:
    assert {one.error for one in results.values()} == {None}
    return {chunk_id: one.detections for chunk_id, one in results.items()}


def numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def notes(attempts: list[Attempt]) -> list[str]:
    return [note for one in attempts for note in one.details.notes]


@pytest.mark.parametrize(("workers", "duration_s"), [(1, 6.0), (2, 60.0)])
def test_windows_of_several_chunks_are_joined_up_to_the_limit_and_nobody_can_tell(
    joiner, make_tasks, workers: int, duration_s: float
) -> None:
    tasks = make_tasks(4, 30.0, duration_s)
    joiner(batch_windows=1)
    expected = found(run("joiner", tasks)[0])
    assert len({one.confidence for each in expected.values() for one in each}) > 30
    site = joiner(batch_windows=8)
    results, attempts = run("joiner", tasks, workers)
    assert found(results) == expected
    sizes = numbers(site / "sizes")
    assert max(sizes) <= 8
    assert sum(sizes) == 4 * 10
    assert notes(attempts) == []


@pytest.mark.parametrize("error", ["RuntimeError", "OutOfMemoryError", "MemoryError"])
def test_batches_that_do_not_fit_are_halved_and_the_limit_is_remembered(
    joiner, make_tasks, error: str
) -> None:
    tasks = make_tasks(2, 63.0, 30.0)
    joiner(batch_windows=1)
    expected = found(run("joiner", tasks)[0])
    site = joiner(batch_windows=32, limit=3, limit_error=error)
    results, attempts = run("joiner", tasks)
    assert found(results) == expected
    assert {one.status for one in attempts} == {"success"}
    failures = numbers(site / "failures")
    assert 1 <= len(failures) <= 3, "it should have learnt how much fits"
    assert notes(attempts)
    assert {note[: note.index("batch")] for note in notes(attempts)} == {"out of memory: "}


def test_windows_that_are_not_to_be_joined_are_halved_too_and_the_limit_is_remembered(
    joiner, make_tasks
) -> None:
    tasks = make_tasks(2, 63.0, 30.0)
    joiner(batch_windows=1)
    expected = found(run("joiner", tasks)[0])
    site = joiner(batch_windows=1, limit=3)
    results, attempts = run("joiner", tasks)
    assert found(results) == expected
    assert notes(attempts)
    assert len(numbers(site / "failures")) <= 3, "it should have learnt how much fits"


def test_where_not_one_window_fits_each_chunk_fails_after_its_retries(joiner, make_tasks) -> None:
    tasks = make_tasks(1)
    joiner(batch_windows=8, limit=0)
    results, attempts = run("joiner", tasks, max_retries=1)
    assert {type(one.error) for one in results.values()} == {OutOfMemory}
    assert {one.attempt for one in results.values()} == {2}
    assert len(attempts) == 2 * len(tasks)
    assert "fewer workers" in str(next(iter(results.values())).error)


def test_a_chunk_too_long_for_memory_is_analysed_in_parts(filer: Path, make_tasks) -> None:
    tasks = make_tasks(2, 130.0, 60.0)[:2]
    (filer / "longest_s").write_text("1000")
    expected = found(run("filer", tasks)[0])
    (filer / "longest_s").write_text("20")
    results, attempts = run("filer", tasks)
    assert found(results) == expected
    assert [one.attempt for one in results.values()] == [1] * len(tasks)
    assert notes(attempts) == ["out of memory: chunk analysed in 4 parts"] * len(tasks)


def test_parts_are_no_shorter_than_they_must_be(filer: Path, make_tasks) -> None:
    (filer / "longest_s").write_text("30.5")
    results, attempts = run("filer", make_tasks(1, 60.0, 60.0))
    assert found(results)
    assert notes(attempts) == ["out of memory: chunk analysed in 2 parts"]


def test_a_chunk_of_which_no_part_fits_is_given_up_and_costs_no_other(
    filer: Path, make_tasks
) -> None:
    tasks = make_tasks(3, 60.0, 30.0)
    expected = found(run("filer", tasks)[0])
    (filer / "never_fits").write_text("b")
    results, attempts = run("filer", tasks, max_retries=1)
    failed = {chunk_id for chunk_id, one in results.items() if one.error}
    assert failed == {"b_chunk_0_30000", "b_chunk_30000_60000"}
    for chunk_id in failed:
        error = results[chunk_id].error
        assert isinstance(error, OutOfMemory)
        assert "7.5 s of sound do not fit" in str(error)
        assert results[chunk_id].attempt == 2
        assert [one.status for one in attempts if one.chunk_id == chunk_id] == ["failure"] * 2
    good = {chunk_id: one for chunk_id, one in results.items() if chunk_id not in failed}
    assert found(good) == {chunk_id: expected[chunk_id] for chunk_id in good}
    assert notes(attempts) == []


# What follows has no process: a detector in this one, so that what happens when can be decided.


@dataclass
class Peaks:
    """Finds how loud each window is; fails as it is told to.

    Attributes:
        fits: how many windows fit into memory.
        guilty: a peak that it stumbles over.
        errors: raised one after the other, by the calls that follow.
        n_missing: windows it says nothing about.
        n_awaited: chunks whose reading must have begun before anything is found.
        reading_s: how long every batch takes to read.
        sizes: of the batches it was given.
    """

    batch_windows: int = 1
    fits: int = 10**9
    guilty: frozenset[float] = frozenset()
    errors: list[Exception] = field(default_factory=list)
    n_missing: int = 0
    sizes: list[int] = field(default_factory=list)
    n_failed: int = 0
    n_awaited: int = 0
    n_read: int = 0
    reading_s: float = 0.0
    identity = DetectorIdentity("peaks", "1", None, "", 3.0)

    def batches(self, audio: AudioFile, chunk: Chunk, _: RecordingContext) -> Iterator[WindowBatch]:
        self.n_read += 1
        for batch in WindowGrid(3.0).read(audio, chunk):
            time.sleep(self.reading_s)
            yield batch

    def detect(self, batch: WindowBatch) -> list[list[Detection]]:
        while self.n_read < self.n_awaited:
            time.sleep(0.001)
        self.sizes.append(len(batch))
        if self.errors:
            raise self.errors.pop(0)
        if len(batch) > self.fits:
            self.n_failed += 1
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        peaks = [float(np.abs(window).max()) for window in batch.windows]
        if self.guilty & set(peaks):
            raise ValueError("guilty")
        spans = list(zip(batch.starts, batch.ends, peaks, strict=True))
        label = Label("How loud")
        return [[Detection(start, end, label, peak)] for start, end, peak in spans][
            : len(spans) - self.n_missing
        ]

    def report(self) -> None:
        pass

    def close(self) -> None:
        pass


def work(detector: Peaks, tasks: Iterable[ChunkTask]) -> list[dict]:
    """Returns a worker's answers to tasks that it was all given at once."""
    lines = [protocol.encode("chunk", **protocol.task_to_json(task)) for task in tasks]
    replies = io.StringIO()
    Worker(detector, replies).run(io.StringIO("".join(lines)))
    return [json.loads(line) for line in replies.getvalue().splitlines()]


def test_a_worker_that_has_many_chunks_waiting_joins_them(make_tasks) -> None:
    tasks = make_tasks(4)
    expected = [answer["detections"] for answer in work(Peaks(), tasks)]
    detector = Peaks(batch_windows=200, n_awaited=6)
    assert [answer["detections"] for answer in work(detector, tasks)] == expected
    assert sum(detector.sizes) == sum(map(len, expected))
    assert max(detector.sizes) > 6


def test_a_worker_waits_for_what_is_being_read_rather_than_run_a_small_batch(make_tasks) -> None:
    detector = Peaks(batch_windows=12, reading_s=0.1)
    work(detector, make_tasks(3, 60.0, 60.0))
    assert detector.sizes == [12] * 5


def test_in_a_large_batch_each_guilty_chunk_pays_for_itself(make_tasks) -> None:
    tasks = make_tasks(4)
    expected = [answer["detections"] for answer in work(Peaks(), tasks)]
    guilty = frozenset(expected[number][0][2] for number in (3, 4, 7))
    detector = Peaks(batch_windows=200, n_awaited=6, guilty=guilty)
    answers = work(detector, tasks)
    assert max(detector.sizes) > 6
    kinds = ["error" if number in {3, 4, 7} else "result" for number in range(len(tasks))]
    assert [answer["kind"] for answer in answers] == kinds
    for answer, detections in zip(answers, expected, strict=True):
        assert answer.get("detections", detections) == detections


def test_a_passing_lack_of_memory_gives_no_detection_twice(make_tasks) -> None:
    # A chunk of two batches, of which the first met another program's use of the memory.
    tasks = make_tasks(1, 60.0, 60.0)
    (expected,) = work(Peaks(), tasks)
    assert len(expected["detections"]) == 20
    full = [MemoryError() for _ in range(5)]  # for 10, 5, 2, 1 windows, and then for all
    (answer,) = work(Peaks(errors=full), tasks)
    # To fail, and to be tried again, would be as good.
    assert answer.get("detections", expected["detections"]) == expected["detections"]


def test_a_detector_that_is_silent_about_a_window_fails_loudly(make_tasks) -> None:
    answers = work(Peaks(n_missing=1), make_tasks(1))
    assert [answer["kind"] for answer in answers] == ["error"] * 3
    assert {answer["error"]["class"] for answer in answers} == {"DetectorFailed"}


def windows(starts: Iterable[int], length: int = 4, rate_hz: int = RATE_HZ) -> WindowBatch:
    """Returns windows each of which holds its own start, scaled down."""
    starts = tuple(starts)
    sound = np.repeat(np.array(starts, np.float32)[:, None] / 1024, length, axis=1)
    return WindowBatch(sound, starts, tuple(start + length for start in starts), rate_hz)


@dataclass
class Whole:
    """A batch that is no window batch."""

    n_files: int

    def __len__(self) -> int:
        return self.n_files


SIZES = st.lists(st.integers(1, 12), max_size=12)


def added(batching: Batching, sizes: list[int], others: frozenset[int] = frozenset()) -> list:
    """Adds batches of these sizes; those numbered `others` are no windows."""
    first = 0
    batches = []
    for number, size in enumerate(sizes):
        batch = Whole(size) if number in others else windows(range(first, first + size))
        first += size
        batches.append(batch)
        batching.add(number, batch)
    return batches


@given(SIZES, st.integers(1, 10), st.frozensets(st.integers(0, 11)))
def test_batches_are_joined_and_cut_in_order_without_loss_and_never_beyond_the_limit(
    sizes, batch_windows: int, others
) -> None:
    batching: Batching[int] = Batching(Peaks(batch_windows))
    batches = added(batching, sizes, others)
    assert batching.is_full == (sum(sizes) >= batch_windows)
    given_to: dict[int, list] = {number: [] for number in range(len(sizes))}
    order = []
    for owners, batch in batching.take(everything=True):
        assert len(batch) == sum(n_windows for _, n_windows in owners)
        order += [number for number, _ in owners]
        if isinstance(batch, Whole):
            ((number, _),) = owners
            assert batch is batches[number]
            given_to[number] += [None] * len(batch)
            continue
        assert batch_windows == 1 or len(batch) <= batch_windows
        assert batch.windows[:, 0].tolist() == [start / 1024 for start in batch.starts]
        starts = iter(batch.starts)
        for number, n_windows in owners:
            given_to[number] += [next(starts) for _ in range(n_windows)]
    assert order == sorted(order)
    for number, batch in enumerate(batches):
        wanted = [None] * len(batch) if isinstance(batch, Whole) else [*batch.starts]
        assert given_to[number] == wanted
    assert list(batching.take(everything=True)) == []
    assert not batching.is_full


@given(st.lists(SIZES, max_size=4), st.integers(2, 10))
def test_until_everything_is_asked_for_only_full_batches_are_given(
    portions, batch_windows: int
) -> None:
    batching: Batching[int] = Batching(Peaks(batch_windows))
    n_added = n_given = 0
    for sizes in portions:
        for size in sizes:
            batching.add(0, windows(range(n_added, n_added + size)))
            n_added += size
        for _, batch in batching.take(everything=False):
            assert len(batch) == batch_windows
            assert batch.starts == tuple(range(n_given, n_given + batch_windows))
            n_given += batch_windows
        assert n_added - n_given < batch_windows
    rest = [batch.starts for _, batch in batching.take(everything=True)]
    assert rest == ([tuple(range(n_given, n_added))] if n_added > n_given else [])


@given(SIZES, st.integers(1, 16), st.integers(1, 12))
def test_whatever_fits_every_window_has_its_own_detections(
    sizes, batch_windows: int, fits: int
) -> None:
    detector = Peaks(batch_windows, fits)
    batching: Batching[int] = Batching(detector)
    added(batching, sizes)
    found_starts = []
    n_notes = 0
    for owners, batch in batching.take(everything=True):
        detections, notes_ = batching.detect(batch)
        n_notes += len(notes_)
        assert len(detections) == sum(n_windows for _, n_windows in owners)
        found_starts += [one.start_sample for each in detections for one in each]
        assert all(one.confidence == one.start_sample / 1024 for each in detections for one in each)
    assert found_starts == list(range(sum(sizes)))
    assert n_notes == detector.n_failed
    if batch_windows > 1:
        assert all(size <= batch_windows for size in detector.sizes)
        assert detector.n_failed <= np.log2(batch_windows)


def test_windows_of_another_length_or_rate_are_not_joined() -> None:
    batching: Batching[int] = Batching(Peaks(100))
    for number, batch in enumerate(
        [windows([1]), windows([2], 5), windows([3], 5), windows([4], 5, 8000), windows([5])]
    ):
        batching.add(number, batch)
    assert [[number for number, _ in owners] for owners, _ in batching.take(everything=True)] == [
        [0],
        [1, 2],
        [3],
        [4],
    ]


@pytest.mark.parametrize("error", [ValueError("a bug"), DetectorFailed("a failure"), KeyError()])
def test_other_errors_pass_unchanged(error: Exception) -> None:
    batching: Batching[int] = Batching(Peaks(8, errors=[error]))
    with pytest.raises(type(error)) as caught:
        batching.detect(windows(range(4)))
    assert caught.value is error


@pytest.mark.parametrize("error", [OutOfMemory("no room", "here", "Do"), MemoryError()])
def test_a_lack_of_memory_for_one_window_or_a_file_is_ours(error: Exception) -> None:
    for batch in (windows([1]), Whole(1)):
        batching: Batching[int] = Batching(Peaks(8, errors=[error]))
        with pytest.raises(OutOfMemory) as caught:
            batching.detect(batch)
        assert isinstance(caught.value, BadcError)
        assert caught.value is error or caught.value.__cause__ is error


@given(
    start=st.integers(0, 200_000),
    length=st.integers(2, 200_000),
    overlap=st.integers(0, 100_000),
    rate_hz=st.sampled_from([8000, 44_100, 48_000]),
    window_overlap_s=st.sampled_from([0.0, 0.5, 2.9]),
)
def test_halves_of_a_chunk_have_its_windows_each_once(
    start: int, length: int, overlap: int, rate_hz: int, window_overlap_s: float
) -> None:
    chunk = Chunk("a", start, start + length, min(overlap, length - 1), rate_hz)
    grid = WindowGrid(3.0, window_overlap_s)
    first, second = halve_chunk(chunk)
    assert (first.start_sample, second.end_sample) == (chunk.start_sample, chunk.end_sample)
    assert first.end_sample == second.start_sample
    assert min(first.n_samples, second.n_samples) >= 1
    n_samples = chunk.end_sample
    in_halves = [*grid.windows(first, n_samples), *grid.windows(second, n_samples)]
    assert in_halves == grid.windows(chunk, n_samples)
