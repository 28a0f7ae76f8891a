"""Who waits and when their turn comes; what is free again when processes end."""

import os
import signal
import statistics
import subprocess
import sys
import time

import pytest
from leasing import CPU, ONE, A, B, C, got, open_in

from badc_core.devices.lease_files import exclusive
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseRefusal, LeaseStore

LONG_S = 10.0


def test_first_come_first_served(folder) -> None:
    store = LeaseStore(folder, [A])
    lease = store.acquire(ONE, Holder("holds"))
    tickets = [store.queue(ONE, Holder(f"waits {n}")) for n in range(3)]
    assert [who.content["work"] for who in store.look()[1]] == ["waits 0", "waits 1", "waits 2"]
    lease.release()
    for late in (None, tickets[2], tickets[1]):
        refusal = store.acquire(ONE, Holder("late"), late)
        assert isinstance(refusal, LeaseRefusal)
        assert "earlier in the queue" in refusal.reason
    for ticket in tickets:
        lease = store.acquire(ONE, Holder("waited"), ticket)
        assert got(lease) == ["a"]
        lease.release()
    assert store.look()[1] == []


def test_a_big_request_is_not_starved_by_small_ones(folder) -> None:
    store = LeaseStore(folder, [A, B, C])
    small = [store.acquire(ONE, Holder("small")) for _ in range(3)]
    big = store.queue(DeviceRequest(3, 3), Holder("big"))
    for n, lease in enumerate(small):
        assert isinstance(store.acquire(DeviceRequest(3, 3), Holder("big"), big), LeaseRefusal)
        lease.release()
        refusal = store.acquire(ONE, Holder("small again"))
        assert isinstance(refusal, LeaseRefusal), n
    assert got(store.acquire(DeviceRequest(3, 3), Holder("big"), big)) == ["a", "b", "c"]


def test_who_waits_for_devices_that_are_none_of_ours_keeps_nobody_waiting(folder) -> None:
    one, other = LeaseStore(folder, [A, CPU]), LeaseStore(folder, [B, CPU])
    one.acquire(ONE, Holder("holds a"))
    one.queue(ONE, Holder("waits for a"))
    one.queue(DeviceRequest(on_cpu=True), Holder("waits for the CPU"))
    assert got(other.acquire(ONE, Holder("b"))) == ["b"]
    assert isinstance(other.acquire(DeviceRequest(on_cpu=True), Holder("cpu")), LeaseRefusal)


def test_a_withdrawn_place_is_gone(folder) -> None:
    store = LeaseStore(folder, [A])
    ticket = store.queue(ONE, Holder("waits"))
    ticket.withdraw()
    ticket.withdraw()
    assert got(store.acquire(ONE, Holder("next"))) == ["a"]


def test_a_stopped_process_in_the_queue_does_not_block_others_for_ever(folder, taker) -> None:
    other = taker("a:1")
    name = other("queue 1")
    os.kill(other.pid, signal.SIGSTOP)
    store = LeaseStore(folder, [A])
    assert isinstance(store.acquire(ONE, Holder("next")), LeaseRefusal)
    long_ago = time.time() - 31
    os.utime(folder / "waiting" / name, (long_ago, long_ago))
    lease = store.acquire(ONE, Holder("next"))
    assert got(lease) == ["a"]
    lease.release()
    os.kill(other.pid, signal.SIGCONT)
    assert other("take 1") == ["a.0"]
    assert store.look()[1] == []


@pytest.mark.parametrize("step_s", [-86_400, 86_400])
def test_after_a_step_of_the_clock_who_asks_is_active_again(folder, step_s) -> None:
    store = LeaseStore(folder, [A])
    lease = store.acquire(ONE, Holder("holds"))
    ticket = store.queue(ONE, Holder("waits"))
    then = time.time() - step_s
    os.utime(folder / "waiting" / ticket.name, (then, then))
    assert not store.look()[1][0].is_active
    store.acquire(ONE, Holder("waits"), ticket)
    assert store.look()[1][0].is_active
    lease.release()
    assert isinstance(store.acquire(ONE, Holder("late")), LeaseRefusal)


def test_a_killed_process_leaves_the_queue(folder, taker) -> None:
    other = taker("a:1")
    other("queue 1")
    store = LeaseStore(folder, [A])
    assert isinstance(store.acquire(ONE, Holder("next")), LeaseRefusal)
    other.kill()
    assert got(store.acquire(ONE, Holder("next"))) == ["a"]
    assert list((folder / "waiting").iterdir()) == []


def taken_within(store, limit_s=LONG_S, request=ONE) -> tuple[Lease, float]:
    """Returns a lease as soon as there is one, and how long that took."""
    start = time.monotonic()
    while time.monotonic() - start < limit_s:
        answer = store.acquire(request, Holder("next"))
        if isinstance(answer, Lease):
            return answer, time.monotonic() - start
        time.sleep(0.002)
    raise AssertionError(answer.reason)


def test_a_device_is_free_at_once_when_its_holder_is_killed(folder, taker) -> None:
    store = LeaseStore(folder, [A])
    times_s = []
    for _ in range(3):
        other = taker("a:1")
        assert other("take 1") == ["a.0"]
        assert isinstance(store.acquire(ONE, Holder("next")), LeaseRefusal)
        os.kill(other.pid, signal.SIGKILL)
        lease, waited_s = taken_within(store)
        times_s.append(waited_s)
        lease.release()
    assert statistics.median(times_s) < 0.5, times_s


def test_inherited_files_keep_a_lease_until_the_last_process_has_ended(folder, taker) -> None:
    other = taker("a:1")
    other("take 1")
    pid = other("start")
    try:
        other("release")
        store = LeaseStore(folder, [A])
        assert isinstance(store.acquire(ONE, Holder("next")), LeaseRefusal)
        other.kill()
        assert isinstance(store.acquire(ONE, Holder("next")), LeaseRefusal)
        assert store.look()[0][0].holder.pid == other.pid
    finally:
        os.kill(pid, signal.SIGKILL)
    lease, waited_s = taken_within(store)
    assert got(lease) == ["a"]
    assert waited_s < 5


def test_a_fork_amid_a_decision_keeps_nothing_that_was_not_lent(folder) -> None:
    store = LeaseStore(folder, [A, B])
    script = "import os, time; time.sleep(60)"
    with exclusive(folder):
        # As if another thread forked: the child has everything that is open just now.
        descriptors = open_in(folder)
        child = subprocess.Popen([sys.executable, "-c", script], pass_fds=descriptors)
    try:
        assert descriptors
        assert got(store.acquire(DeviceRequest(2, 2), Holder("both"))) == ["a", "b"]
    finally:
        child.kill()
        child.wait()
