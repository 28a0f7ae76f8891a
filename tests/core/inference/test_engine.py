"""Real workers, really killed; recordings of noise, in which the foreign detector finds all."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import plan_chunks
from badc_core.detectors.registry import detector_names, identify_detector
from badc_core.devices.cores import usable_cores
from badc_core.errors import ContentMissing, DetectorFailed, DetectorMissing, UnreadableRecording
from badc_core.inference.engine import Engine
from badc_core.inference.protocol import ChunkResult, ChunkTask
from badc_core.settings import DetectorSettings, Settings

WINDOW_SAMPLES = 3 * 16_000


def settings(workers: int = 1, name: str = "foreign") -> Settings:
    return Settings.model_validate({"detector": {"name": name}, "inference": {"workers": workers}})


def run(tasks: list[ChunkTask], workers: int = 1) -> list[ChunkResult]:
    with Engine(settings(workers)) as engine:
        return list(engine.run(tasks))


def by_chunk(results: list[ChunkResult]) -> dict[str, ChunkResult]:
    assert max(Counter(one.chunk.chunk_id for one in results).values()) == 1
    return {one.chunk.chunk_id: one for one in results}


def found(results: list[ChunkResult]) -> dict[str, tuple]:
    return {chunk_id: one.detections for chunk_id, one in by_chunk(results).items()}


def expected_spans(task: ChunkTask) -> list[tuple[int, int]]:
    first = -(-task.chunk.start_sample // WINDOW_SAMPLES) * WINDOW_SAMPLES
    return [
        (start, min(start + WINDOW_SAMPLES, task.n_samples))
        for start in range(first, task.chunk.end_sample, WINDOW_SAMPLES)
        if task.n_samples - start >= 16
    ]


def assert_complete(results: list[ChunkResult], tasks: list[ChunkTask], failed=()) -> None:
    answered = by_chunk(results)
    assert answered.keys() == {task.chunk.chunk_id for task in tasks}
    assert {chunk_id for chunk_id, one in answered.items() if one.error} == set(failed)
    for task in tasks:
        one = answered[task.chunk.chunk_id]
        assert one.chunk == task.chunk
        if one.error is None:
            spans = [(each.start_sample, each.end_sample) for each in one.detections]
            assert spans == expected_spans(task)


def test_others_can_add_a_detector(foreign) -> None:
    assert "foreign" in detector_names()
    assert identify_detector(DetectorSettings(name="foreign")).version == "7"


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_task_has_exactly_one_result(foreign, make_tasks, workers: int) -> None:
    tasks = make_tasks(7)
    results = run(tasks, workers)
    assert_complete(results, tasks)
    assert {one.worker for one in results} <= {f"cpu-{number}" for number in range(workers)}
    assert {one.status for one in results} == {"ok"}
    assert all(one.runtime_s > 0 and one.peak_rss_mib > 1 for one in results)


def test_no_tasks_start_no_worker(foreign) -> None:
    with Engine(settings()) as engine:
        assert list(engine.run([])) == []
        assert engine._workers == []


def test_fewer_tasks_than_workers_start_no_idle_worker(foreign, make_tasks) -> None:
    with Engine(settings(3)) as engine:
        assert len(list(engine.run(make_tasks(1)[:2]))) == 2
        assert len(engine._workers) == 2


def test_zero_workers_means_one_for_each_usable_core(foreign, make_tasks) -> None:
    tasks = make_tasks(1) * (usable_cores() + 1)
    with Engine(settings(0)) as engine:
        for _ in engine.run(iter(tasks)):
            pass
        assert len(engine._workers) == usable_cores()


def test_workers_keep_their_model_from_one_run_to_the_next(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    with Engine(settings()) as engine:
        first = found(list(engine.run(tasks)))
        pid = engine._workers[0].pid
        assert found(list(engine.run(tasks))) == first
        assert [worker.pid for worker in engine._workers] == [pid]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_killed_in_the_middle_cost_no_result_and_repeat_none(
    foreign, make_tasks, workers: int
) -> None:
    tasks = make_tasks(4)
    undisturbed = found(run(tasks, workers))
    foreign("slowly")
    results = []
    killed = set()
    with Engine(settings(workers)) as engine:
        for result in engine.run(tasks):
            results.append(result)
            if len(killed) < 2 and len(results) >= (2, 5)[len(killed)]:
                for worker in engine._workers:
                    if worker.is_ready and worker.assigned and worker.pid not in killed:
                        os.kill(worker.pid, signal.SIGKILL)
                        killed.add(worker.pid)
                        break
        assert not killed & {worker.pid for worker in engine._workers}
    assert len(killed) == 2
    assert_complete(results, tasks)
    assert found(results) == undisturbed
    assert max(one.attempt for one in results) in {2, 3}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_chunk_that_kills_its_worker_once_succeeds_the_second_time(
    foreign, make_tasks, workers: int
) -> None:
    tasks = make_tasks(2)
    foreign("die_once_a_chunk_6000_12000")
    results = run(tasks, workers)
    assert_complete(results, tasks)
    assert by_chunk(results)["a_chunk_6000_12000"].attempt == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_chunk_that_kills_three_workers_is_reported_and_costs_no_other(
    foreign, make_tasks, workers: int
) -> None:
    tasks = make_tasks(3)
    foreign("die_b_chunk_0_6000")
    results = run(tasks, workers)
    assert_complete(results, tasks, failed={"b_chunk_0_6000"})
    failed = by_chunk(results)["b_chunk_0_6000"]
    assert isinstance(failed.error, DetectorFailed)
    assert failed.attempt == 3
    assert failed.status == "error"
    assert "b_chunk_0_6000" in str(failed.error)
    assert "exit code 7" in str(failed.error)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_chunk_that_kills_while_being_read_ahead_puts_the_blame_on_no_other(
    foreign, make_tasks, workers: int
) -> None:
    tasks = make_tasks(2)
    culprits = {"a_chunk_6000_12000", "b_chunk_0_6000"}
    foreign("slowly", *(f"die_reading_{chunk_id}" for chunk_id in culprits))
    results = run(tasks, workers)
    assert_complete(results, tasks, failed=culprits)


def test_a_chunk_under_suspicion_is_alone_with_its_worker(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    culprit = "a_chunk_12000_20000"
    # The first chunk is blamed for the second; then it must not be blamed for the third.
    foreign("slowly", "die_reading_once_a_chunk_6000_12000", f"die_reading_{culprit}")
    assert_complete(run(tasks), tasks, failed={culprit})


@pytest.mark.parametrize("stage", ["raise", "raise_reading"])
def test_a_detector_that_raises_costs_the_chunk_and_not_the_worker(
    foreign, make_tasks, stage: str
) -> None:
    tasks = make_tasks(2)
    culprits = {"a_chunk_0_6000", "b_chunk_6000_12000"}
    foreign(*(f"{stage}_{chunk_id}" for chunk_id in culprits))
    pids = set()
    results = []
    with Engine(settings()) as engine:
        for result in engine.run(tasks):
            results.append(result)
            pids |= {worker.pid for worker in engine._workers}
    assert len(pids) == 1
    assert_complete(results, tasks, failed=culprits)
    for chunk_id in culprits:
        error = by_chunk(results)[chunk_id].error
        assert isinstance(error, DetectorFailed)
        assert "ValueError: a bug in" in str(error)


def test_a_detector_that_is_not_installed_is_one_clear_error(foreign, make_tasks) -> None:
    foreign("missing")
    with pytest.raises(DetectorMissing) as caught:
        run(make_tasks(3), workers=2)
    assert str(caught.value) == "foreign: its weights are not here. Run: pip install foreign"


@pytest.mark.parametrize(
    ("order", "message"),
    [("broken", r"exit code 1 before.*no such symbol: frobnicate"), ("leave", "exit code 3")],
)
def test_a_detector_that_breaks_while_loading_is_one_clear_error(
    foreign, make_tasks, order: str, message: str
) -> None:
    foreign(order)
    with pytest.raises(DetectorFailed, match=f"(?s){message}"):
        run(make_tasks(3), workers=2)


def test_what_libraries_print_does_no_harm(foreign, make_tasks) -> None:
    tasks = make_tasks(2)
    foreign("chatter")
    assert_complete(run(tasks), tasks)


class _Abandoned(Exception):
    pass


def _leave_normally(results: Iterator[ChunkResult]) -> None:
    assert list(results)


def _leave_early(results: Iterator[ChunkResult]) -> None:
    next(results)


def _leave_with_an_error(results: Iterator[ChunkResult]) -> None:
    next(results)
    raise _Abandoned


@pytest.mark.parametrize("leave", [_leave_normally, _leave_early, _leave_with_an_error])
def test_no_process_outlives_the_engine(foreign, make_tasks, is_running, leave) -> None:
    foreign("slowly")
    pids = []
    try:
        with Engine(settings(2)) as engine:
            results = engine.run(make_tasks(2))
            next(results)
            pids = [worker.pid for worker in engine._workers]
            assert all(map(is_running, pids))
            leave(results)
    except _Abandoned:
        assert leave is _leave_with_an_error
    assert len(pids) == 2
    assert not any(map(is_running, pids))


_PARENT = """
import pickle, sys
from pathlib import Path
from badc_core.inference.engine import Engine
from badc_core.settings import Settings
tasks = pickle.loads(Path(sys.argv[1]).read_bytes())
settings = {"detector": {"name": "foreign"}, "inference": {"workers": 2}}
with Engine(Settings.model_validate(settings)) as engine:
    for result in engine.run(tasks):
        print(*(worker.pid for worker in engine._workers), flush=True)
"""


def test_workers_end_when_their_parent_is_killed(
    foreign, make_tasks, is_running, tmp_path: Path
) -> None:
    foreign("slowly")
    (tmp_path / "tasks").write_bytes(pickle.dumps(make_tasks(20)))
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "tasks")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_running, pids))
        parent.kill()
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def test_a_recording_that_changed_since_it_was_cut_fails_and_costs_no_other(
    foreign, make_tasks
) -> None:
    tasks = make_tasks(3)
    sf.write(tasks[0].audio, np.zeros(tasks[0].n_samples - 1), 16_000)
    last = tasks[-1].audio
    last.unlink()
    culprits = {task.chunk.chunk_id for task in tasks if task.chunk.recording_id in {"a", "c"}}
    results = run(tasks)
    assert_complete(results, tasks, failed=culprits)
    errors = {one.chunk.recording_id: one.error for one in results}
    assert isinstance(errors["a"], UnreadableRecording)
    assert "320000" in str(errors["a"])
    assert "319999" in str(errors["a"])
    assert isinstance(errors["c"], ContentMissing)
    assert str(last) in str(errors["c"])


def test_tasks_are_drawn_only_as_workers_need_them(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    drawn = 0

    def endless() -> Iterator[ChunkTask]:
        nonlocal drawn
        for number in range(10_000):
            drawn += 1
            yield tasks[number % len(tasks)]

    workers = 2
    with Engine(settings(workers)) as engine:
        for n_results, _ in enumerate(engine.run(endless()), start=1):
            assert drawn <= n_results + 2 * workers
            if n_results == 50:
                break


def test_real_recordings_of_all_kinds_go_through_one_pool(field_audio: Path) -> None:
    tasks = []
    for path in sorted(field_audio.iterdir()):
        if path.suffix not in {".wav", ".flac", ".mp3"}:
            continue
        with AudioFile(path) as audio:
            plan = plan_chunks(path.stem, audio.n_samples, audio.sample_rate_hz, Settings().chunks)
            tasks += [ChunkTask(path, audio.n_samples, chunk) for chunk in plan]
    with Engine(settings(2, "band_energy")) as engine:
        results = by_chunk(list(engine.run(tasks)))
    assert results.keys() == {task.chunk.chunk_id for task in tasks}
    assert {one.error for one in results.values()} == {None}
    assert results["CommonYellowthroat_chunk_0_5904"].status == "ok"
    assert results["silence_10s_chunk_0_10000"].status == "no_detections"
