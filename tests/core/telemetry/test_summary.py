import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.errors import DatasetInvalid
from badc_core.telemetry.summary import Summary, summary_path, workers_path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "infer" / "run.jsonl"


def written(log: Path) -> dict:
    return json.loads(summary_path(log).read_text(encoding="utf-8"))


def test_a_summary_says_what_became_of_every_chunk(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("a", "start"))
    summary.add(attempt("a", output="out/a.json"))
    summary.add(attempt("b", "failure", will_retry=True, backoff_s=1.0, on_gpu=True))
    summary.add(attempt("b", "success", attempt=2))
    summary.add(attempt("c", "failure", attempt=1))
    summary.write()
    assert list(written(log)) == ["telemetry_log", "workers", "jobs"]
    assert written(log)["telemetry_log"] == str(log)
    assert written(log)["jobs"] == {
        "a": {
            "status": "success",
            "attempts": 1,
            "retries": 0,
            "output": "out/a.json",
            "worker": "cpu-0",
            "recording_id": "rec_1",
            "last_backoff_s": None,
            "last_error": None,
        },
        "b": {
            "status": "success",
            "attempts": 2,
            "retries": 1,
            "output": None,
            "worker": "cpu-0",
            "recording_id": "rec_1",
            "last_backoff_s": 1.0,
            "last_error": "it broke",
        },
        "c": {
            "status": "failure",
            "attempts": 1,
            "retries": 0,
            "output": None,
            "worker": "cpu-0",
            "recording_id": "rec_1",
            "last_backoff_s": None,
            "last_error": "it broke",
            "error": "it broke",
        },
    }
    assert written(log)["workers"] == {
        "cpu-0": {"success": 2, "failure": 1, "retries": 1, "failed_retries": 1},
        "gpu-0": {"success": 0, "failure": 0, "retries": 0, "failed_retries": 1},
    }


def test_the_table_of_workers_has_the_columns_it_always_had(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("a"))
    summary.add(attempt("b", "failure", on_gpu=True))
    summary.write()
    text = workers_path(log).read_text(encoding="utf-8")
    assert text.splitlines() == [
        "worker,jobs,success,failure,retries,failed_retries",
        "cpu-0,1,1,0,0,0",
        "gpu-0,1,0,1,0,1",
    ]
    assert workers_path(log).name == "run.jsonl.summary.json.workers.csv"
    assert len(list(csv.DictReader(text.splitlines()))) == 2


def test_an_interrupted_run_has_a_summary_too(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("a", "failure", will_retry=True))
    assert summary.maybe_write(0.0)
    assert written(log)["jobs"]["a"]["status"] == "failure"
    assert summary.n_chunks == 0  # its next attempt is to come


def test_it_is_written_at_most_every_ten_seconds(log, attempt) -> None:
    summary = Summary(log)
    done = [now for now in range(100) if summary.maybe_write(1000.0 + now)]
    assert len(done) == 10
    assert done[:3] == [0, 10, 20]


def test_writing_never_takes_more_than_a_fiftieth_of_the_time(log, monkeypatch) -> None:
    # Patched, since a disk that takes two seconds for a summary cannot be had here.
    clock = iter([0.0, 2.0, 0.0, 0.1])
    monkeypatch.setattr("badc_core.telemetry.summary.time.perf_counter", lambda: next(clock))
    summary = Summary(log)
    assert summary.maybe_write(0.0)
    assert not summary.maybe_write(99.0)
    assert summary.maybe_write(100.0)


def test_a_later_run_adds_to_a_summary_and_never_shrinks_it(log, attempt) -> None:
    first = Summary.load(log)
    first.add(attempt("a"))
    first.add(attempt("b", "failure", will_retry=True))
    first.add(attempt("b", "failure", attempt=2))
    first.add(attempt("c"))
    first.write()
    second = Summary.load(log)
    second.add(attempt("b"))
    second.add(attempt("c", "failure", error="now it broke"))
    second.write()
    jobs = written(log)["jobs"]
    assert [jobs[one]["status"] for one in "abc"] == ["success", "success", "success"]
    assert jobs["b"]["attempts"] == 3
    assert jobs["b"]["retries"] == 1
    assert "error" not in jobs["b"]
    assert jobs["c"]["last_error"] == "now it broke"
    assert written(log)["workers"]["cpu-0"] == {
        "success": 3,
        "failure": 2,
        "retries": 1,
        "failed_retries": 3,
    }
    assert second.n_chunks == 2  # this run's


def test_loading_and_writing_changes_nothing(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("a"))
    summary.add(attempt("b", "failure"))
    summary.write()
    before = summary_path(log).read_bytes(), workers_path(log).read_bytes()
    Summary.load(log).write()
    assert (summary_path(log).read_bytes(), workers_path(log).read_bytes()) == before


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(1, 3)), max_size=12),
    st.integers(0, 12),
)
def test_merging_two_halves_equals_one_pass(attempt, events, cut) -> None:
    def fed(part):
        summary = Summary(Path("unused.jsonl"))
        for chunk_id, is_success, number in part:
            status = "success" if is_success else "failure"
            summary.add(attempt(chunk_id, status, attempt=number))
        return summary

    newer = fed(events[cut:])
    newer.merge(fed(events[:cut]))
    whole = fed(events)
    assert newer.workers() == whole.workers()
    assert newer.jobs().keys() == whole.jobs().keys()
    for chunk_id, job in whole.jobs().items():
        assert newer.jobs()[chunk_id].status == job.status
        assert newer.jobs()[chunk_id].attempts == job.attempts
        assert newer.jobs()[chunk_id].retries == job.retries
        assert newer.jobs()[chunk_id].last_error == job.last_error


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"jobs": {"a": {"x": 1}}, "workers": {}}'])
def test_a_file_that_is_no_summary_is_not_overwritten(log, text) -> None:
    log.parent.mkdir()
    summary_path(log).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetInvalid, match="not a telemetry summary"):
        Summary.load(log)


def test_resumed_chunks_are_there_and_are_counted_apart(log, attempt) -> None:
    summary = Summary(log)
    summary.resumed("a", "rec_1", worker="gpu-0", attempts=2, output="out/a.json")
    summary.resumed("a", "rec_1")
    summary.add(attempt("b"))
    summary.write()
    job = written(log)["jobs"]["a"]
    assert (job["status"], job["attempts"], job["retries"]) == ("success", 2, 1)
    assert (job["worker"], job["output"]) == ("gpu-0", "out/a.json")
    assert summary.n_chunks == 2
    assert "gpu-0" not in summary.workers()


def test_a_resumed_chunk_keeps_what_is_known_of_it(log, attempt) -> None:
    first = Summary(log)
    first.add(attempt("a", "failure", will_retry=True))
    first.add(attempt("a", attempt=2))
    first.write()
    before = written(log)["jobs"]["a"]
    again = Summary.load(log)
    again.resumed("a", "rec_1")
    again.write()
    assert written(log)["jobs"]["a"] == before


def test_chunks_and_retries_of_a_run_are_counted(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("a"))
    summary.add(attempt("b", "failure", will_retry=True))
    summary.add(attempt("b", attempt=2))
    assert (summary.n_chunks, summary.n_retries) == (2, 1)


def test_the_worst_chunks_are_named_failures_first(log, attempt) -> None:
    summary = Summary(log)
    for number in range(8):
        name = f"chunk_{number}"
        summary.add(attempt(name, "failure", will_retry=True, error=f"cause {number}"))
        if number == 7:
            summary.add(attempt(name, "failure", attempt=2, error="for good", worker="cpu-1"))
        else:
            summary.add(attempt(name, attempt=2))
    summary.add(attempt("fine"))
    worst = summary.worst(3)
    assert [one.chunk_id for one in worst.hotspots] == ["chunk_7", "chunk_0", "chunk_1"]
    assert worst.n_more == 5
    assert str(worst).splitlines() == [
        "chunk_7 on cpu-1: failure after 1 retry, last error: for good",
        "chunk_0 on cpu-0: success after 1 retry, last error: cause 0",
        "chunk_1 on cpu-0: success after 1 retry, last error: cause 1",
        "and 5 more",
    ]


def test_a_chunk_that_gave_trouble_is_told_in_good_english(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("never_tried_again", "failure", error="it is broken"))
    for number in (1, 2, 3):
        summary.add(attempt("stubborn", "failure", attempt=number, will_retry=number < 3))
    worst = summary.worst()
    assert worst.n_chunks == 2
    assert str(worst).splitlines() == [
        "stubborn on cpu-0: failure after 2 retries, last error: it broke",
        "never_tried_again on cpu-0: failure at the first attempt, last error: it is broken",
    ]


def test_a_smooth_run_has_no_worst_chunks(log, attempt) -> None:
    summary = Summary(log)
    summary.add(attempt("a"))
    assert summary.worst().hotspots == ()
    assert str(summary.worst()) == ""
