"""A task with more memory than it asked for, on a cluster where the kernel kills it for that."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.slurm_cluster import Cluster, Kind, running_cluster
from support.slurm_steps import TWO_TASKS, Step, ids

pytestmark = pytest.mark.slurm

_GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster whose tasks the kernel keeps to their memory."""
    try:
        Path(tempfile.mkdtemp(dir=_GROUPS)).rmdir()
    except OSError as error:
        pytest.skip(f"missing: cgroups of version 1 that may be made ({error})")
    with running_cluster(Kind(has_cgroups=True)) as running:
        yield running


def test_who_wants_more_memory_than_there_is_fails_and_says_so(archive) -> None:
    greedy = "python3 -c 'x = bytearray(b\"x\") * (700 << 20)'"
    second_task = f'if [ "$SLURM_ARRAY_TASK_ID" = 1 ]; then {greedy}; fi'
    dataset = archive.make(
        6, target_minutes=TWO_TASKS, mem="400M", setup=[second_task], greedy_mib=700
    )
    step = Step(dataset, ids(6)).run()
    assert step.good == {"r2", "r3", "r5"}
    of_worker, *of_task = (step.errors[one] for one in ("r0", "r1", "r4"))
    assert "ran out of memory: it had 400 MiB, and the system killed a worker" in of_worker
    assert all("its task ran out of memory: it had 400M" in one for one in of_task)
    assert all("Set slurm.mem to more" in one for one in step.errors.values())
    states = sorted(one["state"] for one in step.launcher.list_tasks())
    assert states == ["COMPLETED", "OUT_OF_MEMORY"]  # the second never got to say that it started
