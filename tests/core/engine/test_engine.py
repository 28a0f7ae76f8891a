"""Real workers, really killed; recordings of noise, in which the foreign detector finds all."""

import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.waiting import wait_until

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import plan_chunks
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.registry import identify_detector, list_detectors
from badc_core.devices.places import usable_cores
from badc_core.engine.engine import Engine
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import (
    ContentMissing,
    DetectorFailed,
    DetectorMissing,
    DetectorTimeout,
    UnreadableRecording,
)
from badc_core.settings import Settings
from badc_core.telemetry.attempts import Attempt

WINDOW_SAMPLES = 3 * 16_000


def settings(workers: int = 1, name: str = "foreign", **inference: object) -> Settings:
    wanted = {"cpu_workers": workers, "backoff_s": 0.01, **inference}
    return Settings.model_validate({"detector": {"name": name}, "inference": wanted})


def open_one(workers: int = 1, name: str = "foreign", **inference: object) -> Engine:
    wanted = settings(workers, name, **inference)
    return open_engine(wanted, identify_detector(wanted.detector), lambda _: None)


def run(tasks: list[ChunkTask], workers: int = 1, **inference: object) -> list[ChunkResult]:
    with open_one(workers, **inference) as engine:
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
    assert "foreign" in list_detectors()
    assert identify_detector(DetectorSettings(name="foreign")).version == "7"


def test_every_task_has_exactly_one_result(foreign, make_tasks) -> None:
    tasks = make_tasks(7)
    results = run(tasks, 2)
    assert_complete(results, tasks)
    assert {one.worker for one in results} <= {"cpu-0", "cpu-1"}
    assert {one.status for one in results} == {"ok"}
    assert all(one.runtime_s > 0 and one.peak_rss_mib > 1 for one in results)


def test_failures_that_wait_for_another_attempt_keep_new_chunks_back(foreign, make_tasks) -> None:
    (task, *_) = make_tasks()
    task.audio.write_bytes(b"no sound")
    n_begun, most_open, n_ended = 0, 0, 0

    def broken() -> Iterator[ChunkTask]:
        nonlocal n_begun, most_open
        for _ in range(150):
            n_begun += 1
            most_open = max(most_open, n_begun - n_ended)
            yield replace(task)

    with open_one(2, max_retries=1, backoff_s=0.5) as engine:
        for result in engine.run(broken()):
            assert result.error is not None
            n_ended += 1
    assert n_ended == 150
    assert 50 < most_open <= 110


def test_no_tasks_start_no_worker(foreign) -> None:
    with open_one() as engine:
        assert list(engine.run([])) == []
        assert engine.workers == []


def test_fewer_tasks_than_workers_start_no_idle_worker(foreign, make_tasks) -> None:
    with open_one(3) as engine:
        assert len(list(engine.run(make_tasks(1)[:2]))) == 2
        assert len(engine.workers) == 2


def test_zero_workers_means_one_for_each_usable_core(foreign, make_tasks) -> None:
    tasks = make_tasks(1) * (usable_cores() + 1)
    with open_one(0) as engine:
        for _ in engine.run(iter(tasks)):
            pass
        assert len(engine.workers) == usable_cores()


def test_workers_keep_their_model_from_one_run_to_the_next(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    with open_one() as engine:
        first = found(list(engine.run(tasks)))
        pid = engine.workers[0].pid
        assert found(list(engine.run(tasks))) == first
        assert [worker.pid for worker in engine.workers] == [pid]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_killed_in_the_middle_cost_no_result_and_repeat_none(
    foreign, make_tasks, workers: int
) -> None:
    tasks = make_tasks(2)
    foreign("slowly")
    results = []
    killed = set()
    with open_one(workers) as engine:
        for result in engine.run(tasks):
            results.append(result)
            if len(killed) < 2 and len(results) >= (1, 3)[len(killed)]:
                for worker in engine.workers:
                    if worker.is_ready and worker.assigned and worker.pid not in killed:
                        os.kill(worker.pid, signal.SIGKILL)
                        killed.add(worker.pid)
                        break
        assert not killed & {worker.pid for worker in engine.workers}
    assert len(killed) == 2
    assert_complete(results, tasks)
    assert max(one.attempt for one in results) in {2, 3}


def test_a_chunk_that_kills_its_worker_once_succeeds_the_second_time(foreign, make_tasks) -> None:
    tasks = make_tasks(2)
    foreign("die_once_a_chunk_6000_12000")
    results = run(tasks)
    assert_complete(results, tasks)
    assert by_chunk(results)["a_chunk_6000_12000"].attempt == 2


def test_a_chunk_that_kills_three_workers_is_reported_and_costs_no_other(
    foreign, make_tasks
) -> None:
    tasks = make_tasks(3)
    foreign("die_b_chunk_0_6000")
    results = run(tasks, 2)
    assert_complete(results, tasks, failed={"b_chunk_0_6000"})
    failed = by_chunk(results)["b_chunk_0_6000"]
    assert isinstance(failed.error, DetectorFailed)
    # Three times alone, and perhaps once in company, which is not counted.
    assert failed.attempt in {3, 4}
    assert failed.status == "error"
    assert "b_chunk_0_6000" in str(failed.error)
    assert "exit code 7" in str(failed.error)


def test_a_chunk_that_kills_while_being_read_ahead_puts_the_blame_on_no_other(
    foreign, make_tasks
) -> None:
    tasks = make_tasks(2)
    culprits = {"a_chunk_6000_12000", "b_chunk_0_6000"}
    foreign("slowly", *(f"die_reading_{chunk_id}" for chunk_id in culprits))
    results = run(tasks, 2, max_retries=1)
    assert_complete(results, tasks, failed=culprits)


def test_a_chunk_under_suspicion_is_alone_with_its_worker(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    culprit = "a_chunk_12000_20000"
    # The first chunk is blamed for the second; then it must not be blamed for the third.
    foreign("slowly", "die_reading_once_a_chunk_6000_12000", f"die_reading_{culprit}")
    assert_complete(run(tasks, max_retries=1), tasks, failed={culprit})


@pytest.mark.parametrize("stage", ["raise", "raise_reading"])
def test_a_detector_that_raises_costs_the_chunk_and_not_the_worker(
    foreign, make_tasks, stage: str
) -> None:
    tasks = make_tasks(2)
    culprits = {"a_chunk_0_6000", "b_chunk_6000_12000"}
    foreign(*(f"{stage}_{chunk_id}" for chunk_id in culprits))
    pids = set()
    results = []
    with open_one() as engine:
        for result in engine.run(tasks):
            results.append(result)
            pids |= {worker.pid for worker in engine.workers}
    assert len(pids) == 1
    assert_complete(results, tasks, failed=culprits)
    for chunk_id in culprits:
        error = by_chunk(results)[chunk_id].error
        assert isinstance(error, DetectorFailed)
        assert "ValueError: a bug in" in str(error)


def test_a_detector_that_is_not_installed_is_one_clear_error(foreign, make_tasks) -> None:
    foreign("missing")
    with pytest.raises(DetectorMissing) as caught:
        run(make_tasks(1), workers=2)
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
        run(make_tasks(1))


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
        with open_one(2) as engine:
            results = engine.run(make_tasks(1))
            next(results)
            pids = [worker.pid for worker in engine.workers]
            assert all(map(is_running, pids))
            leave(results)
    except _Abandoned:
        assert leave is _leave_with_an_error
    assert len(pids) == 2
    assert not any(map(is_running, pids))


_PARENT = """
import pickle, sys
from pathlib import Path
from badc_core.detectors.registry import identify_detector
from badc_core.engine.opening import open_engine
from badc_core.settings import Settings
tasks = pickle.loads(Path(sys.argv[1]).read_bytes())
settings = {"detector": {"name": "foreign"}, "inference": {"cpu_workers": 2}}
settings = Settings.model_validate(settings)
with open_engine(settings, identify_detector(settings.detector), lambda _: None) as engine:
    for result in engine.run(tasks):
        print(*(worker.pid for worker in engine.workers), flush=True)
"""


def test_workers_end_when_their_parent_is_killed_even_while_one_hangs(
    foreign, make_tasks, is_running, tmp_path: Path
) -> None:
    foreign("slowly", "hang_a_chunk_6000_12000")
    (tmp_path / "tasks").write_bytes(pickle.dumps(make_tasks(5)))
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "tasks")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_running, pids))
        parent.kill()
    wait_until(lambda: not any(map(is_running, pids)), 10)


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
    with open_one(workers) as engine:
        for n_results, _ in enumerate(engine.run(endless()), start=1):
            assert drawn <= n_results + 3 * workers
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
    with open_one(2, "band_energy") as engine:
        results = by_chunk(list(engine.run(tasks)))
    assert results.keys() == {task.chunk.chunk_id for task in tasks}
    assert {one.error for one in results.values()} == {None}
    assert results["CommonYellowthroat_chunk_0_5904"].status == "ok"
    assert results["silence_10s_chunk_0_10000"].status == "no_detections"


def test_a_chunk_that_fails_once_succeeds_after_a_wait(foreign, make_tasks) -> None:
    tasks = make_tasks(2)
    foreign("raise_once_a_chunk_6000_12000")
    attempts: list[Attempt] = []
    wanted = settings(backoff_s=0.3)
    with open_engine(wanted, identify_detector(wanted.detector), attempts.append) as engine:
        results = list(engine.run(tasks))
    assert_complete(results, tasks)
    assert by_chunk(results)["a_chunk_6000_12000"].attempt == 2
    ours = [one for one in attempts if one.chunk_id == "a_chunk_6000_12000"]
    assert [(one.status, one.attempt) for one in ours] == [
        ("start", 1),
        ("failure", 1),
        ("start", 2),
        ("success", 2),
    ]
    assert "a passing bug" in (ours[1].error or "")
    assert ours[1].details.will_retry
    assert ours[1].details.backoff_s == 0.3
    assert ours[1].finished_at is not None
    assert (ours[2].started_at - ours[1].finished_at).total_seconds() >= 0.29
    assert results[-1].chunk.chunk_id == "a_chunk_6000_12000" or len(results) == len(tasks)


def test_each_further_wait_is_twice_as_long(foreign, make_tasks) -> None:
    foreign("raise_a_chunk_0_6000")
    attempts: list[Attempt] = []
    wanted = settings(backoff_s=0.05, max_retries=3)
    with open_engine(wanted, identify_detector(wanted.detector), attempts.append) as engine:
        assert_complete(list(engine.run(make_tasks(1))), make_tasks(1), {"a_chunk_0_6000"})
    waits = [one.details.backoff_s for one in attempts if one.status == "failure"]
    assert waits == [0.05, 0.1, 0.2, None]


def test_without_retries_a_chunk_has_one_chance(foreign, make_tasks) -> None:
    tasks = make_tasks(1, length_s=5.0)
    foreign("die_once_a_chunk_0_5000")
    results = run(tasks, max_retries=0)
    assert_complete(results, tasks, failed={"a_chunk_0_5000"})
    assert by_chunk(results)["a_chunk_0_5000"].attempt == 1


def test_a_death_in_company_is_counted_against_nobody(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    foreign("slowly", "die_reading_a_chunk_6000_12000")
    assert_complete(run(tasks, max_retries=0), tasks, failed={"a_chunk_6000_12000"})


def test_a_place_whose_worker_does_not_get_ready_for_once_is_not_given_up(
    foreign, make_tasks
) -> None:
    tasks = make_tasks(2)
    foreign("refuse_once")
    assert_complete(run(tasks), tasks)


def test_a_time_limit_beyond_all_waiting_is_as_good_as_none(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    assert_complete(run(tasks, timeout_s=1e12, load_timeout_s=1e12), tasks)


def test_a_worker_that_hangs_is_replaced_and_its_chunk_tried_again(foreign, make_tasks) -> None:
    tasks = make_tasks(1)
    foreign("hang_once_a_chunk_6000_12000")
    results = run(tasks, timeout_s=1.0, timeout_per_audio_s=0)
    assert_complete(results, tasks)
    assert by_chunk(results)["a_chunk_6000_12000"].attempt == 2


@pytest.mark.parametrize("order", ["hang", "hang_reading"])
def test_a_chunk_that_always_hangs_is_given_up_and_costs_no_other(
    foreign, make_tasks, order: str
) -> None:
    tasks = make_tasks(2)
    foreign(f"{order}_a_chunk_6000_12000")
    results = run(tasks, 2, timeout_s=1.0, timeout_per_audio_s=0, max_retries=0)
    assert_complete(results, tasks, failed={"a_chunk_6000_12000"})
    error = by_chunk(results)["a_chunk_6000_12000"].error
    assert isinstance(error, DetectorTimeout)
    assert "no answer within 1 s" in str(error)


def test_a_worker_that_dies_while_loading_is_replaced(foreign, make_tasks) -> None:
    tasks = make_tasks(2)
    foreign("leave_once")
    assert_complete(run(tasks, 2), tasks)


def test_workers_that_never_get_ready_are_one_clear_error(foreign, make_tasks) -> None:
    foreign("hang_loading")
    with pytest.raises(DetectorFailed, match=r"no answer within 0\.5 s before it was ready"):
        run(make_tasks(1), load_timeout_s=0.5)


def test_nothing_is_left_in_scratch(foreign, make_tasks, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with open_one(2, scratch=str(scratch)) as engine:
        results = engine.run(make_tasks(2))
        next(results)
        (folder,) = scratch.iterdir()
        assert len([one for one in folder.iterdir() if one.is_dir()]) == 2
    assert list(scratch.iterdir()) == []


def test_what_a_killed_process_left_in_scratch_is_removed(
    foreign, make_tasks, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    left = scratch / "badc-scratch-left"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (left / "chunk.wav").write_bytes(b"sound")
    with open_one(1, scratch=str(scratch)) as engine:
        list(engine.run(make_tasks(1)))
        assert not left.exists()
        with open_one(1, scratch=str(scratch)) as other:
            assert len(list(scratch.iterdir())) == 2
            list(other.run(make_tasks(1)))
        assert len(list(scratch.iterdir())) == 1
