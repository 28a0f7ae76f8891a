"""Tasks: every recording exactly once, and none longer than wanted."""

from hypothesis import given
from hypothesis import strategies as st

from badc_core.slurm.packing import pack

lengths = st.dictionaries(
    st.text(min_size=1, max_size=5), st.floats(0.0, 50_000.0, allow_nan=False), max_size=60
)


@given(lengths, st.floats(1.0, 100_000.0))
def test_every_recording_is_in_one_task_and_no_task_is_too_long(lengths_s, target_s) -> None:
    tasks = pack(lengths_s, target_s)
    assert sorted(one for task in tasks for one in task) == sorted(lengths_s)
    assert all(tasks)
    for task in tasks:
        assert len(task) == 1 or sum(lengths_s[one] for one in task) <= target_s * (1 + 1e-9)
    assert tasks == pack(dict(reversed(lengths_s.items())), target_s)


def test_tasks_are_of_about_equal_length() -> None:
    lengths_s = {f"r{number}": 60.0 + number % 7 for number in range(1000)}
    tasks = pack(lengths_s, 3600.0)
    sums = [sum(lengths_s[one] for one in task) for task in tasks]
    assert len(tasks) <= sum(lengths_s.values()) / 3600 + 2
    assert max(sums) - min(sums) < 140
