import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badc_core.errors import BadcError, UnreadableRecording
from badc_core.outcomes import attempt, for_each

IDS = [f"rec{number}" for number in range(20)]


def measure(recording_id: str) -> int:
    if recording_id.endswith("3"):
        raise UnreadableRecording("truncated", recording_id)
    if recording_id.endswith("7"):
        raise ZeroDivisionError("by accident")
    return len(recording_id)


def test_an_outcome_holds_what_was_made() -> None:
    outcome = attempt("rec1", measure)
    assert (outcome.recording_id, outcome.value, outcome.error) == ("rec1", 4, None)


def test_an_outcome_holds_the_very_error() -> None:
    outcome = attempt("rec3", measure)
    assert outcome.value is None
    assert isinstance(outcome.error, UnreadableRecording)


def test_an_error_nobody_foresaw_is_shown_and_logged(caplog) -> None:
    outcome = attempt("rec7", measure)
    assert type(outcome.error) is BadcError
    assert str(outcome.error).startswith("rec7: unexpected ZeroDivisionError: by accident")
    assert "report it" in str(outcome.error)
    assert "rec7 failed unexpectedly" in caplog.text
    assert "Traceback" in caplog.text


def test_an_interruption_is_no_outcome() -> None:
    def interrupt(recording_id: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt("rec1", interrupt)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_one_failure_costs_only_its_own_recording(n_threads: int) -> None:
    outcomes = list(for_each(IDS, measure, n_threads))
    assert [one.recording_id for one in outcomes] == IDS
    failed = {one.recording_id for one in outcomes if one.error}
    assert failed == {"rec3", "rec13", "rec7", "rec17"}
    assert all((one.value is None) == (one.error is not None) for one in outcomes)


@settings(max_examples=30)
@given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 4))
def test_threads_change_nothing_but_speed(recording_ids: list[str], n_threads: int) -> None:
    alone = [(one.recording_id, one.value) for one in for_each(recording_ids, len)]
    threaded = [(one.recording_id, one.value) for one in for_each(recording_ids, len, n_threads)]
    assert threaded == alone == [(one, len(one)) for one in recording_ids]


def test_one_thread_is_the_callers_own() -> None:
    def where(recording_id: str) -> int:
        return threading.get_ident()

    assert {one.value for one in for_each(IDS, where)} == {threading.get_ident()}


def test_several_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)
    outcomes = for_each(IDS[:3], lambda _: meeting.wait(), n_threads=3)
    assert sorted(one.value for one in outcomes if one.value is not None) == [0, 1, 2]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_recordings_are_drawn_a_few_at_a_time(n_threads: int) -> None:
    drawn = 0

    def endless() -> Iterator[str]:
        nonlocal drawn
        while True:
            drawn += 1
            yield f"rec{drawn}"

    outcomes = for_each(endless(), len, n_threads)
    for n_seen in range(1, 30):
        next(outcomes)
        assert drawn <= n_seen + 2 * n_threads
    outcomes.close()
