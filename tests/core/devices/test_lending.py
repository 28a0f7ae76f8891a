"""What is leased to whom: slots and measured memory, and the messages about both."""

import json
import os
import statistics
import time

import pytest
from leasing import CPU, ONE, A, B, C, D, got

from badc_core.accounts import user_name
from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.leases import LeaseRefusal, LeaseStore
from badc_core.errors import ConfigInvalid


def test_slots_are_leased_breadth_first_and_no_more_than_there_are(folder) -> None:
    devices = [LeasableDevice(name, name, 0, 2) for name in "ab"]
    store = LeaseStore(folder, devices)
    leases = [store.acquire(ONE, Holder(f"work {n}")) for n in range(4)]
    assert [got(lease) for lease in leases] == [["a"], ["b"], ["a"], ["b"]]
    assert [lease.slots[0].number for lease in leases] == [0, 0, 1, 1]
    refusal = store.acquire(ONE, Holder("late"))
    assert isinstance(refusal, LeaseRefusal)
    assert "waiting for 1 GPU; a slot 0 is leased by work 0 (" in refusal.reason
    assert f"pid {os.getpid()}" in refusal.reason
    leases[2].release()
    assert got(store.acquire(ONE, Holder("late"))) == ["a"]


def test_several_devices_are_leased_together_or_not_at_all(folder) -> None:
    store = LeaseStore(folder, [A, B])
    first = store.acquire(ONE, Holder("one"))
    assert isinstance(store.acquire(DeviceRequest(2, 2), Holder("two")), LeaseRefusal)
    second = store.acquire(ONE, Holder("another"))
    assert got(second) == ["b"]
    first.release()
    second.release()
    assert got(store.acquire(DeviceRequest(2, 2), Holder("two"))) == ["a", "b"]


def test_a_range_takes_what_is_idle_up_to_its_end(folder) -> None:
    store = LeaseStore(folder, [A, B, C, D])
    assert got(store.acquire(DeviceRequest(1, 2), Holder("1-2"))) == ["a", "b"]
    assert got(store.acquire(DeviceRequest(1, None), Holder("1+"))) == ["c", "d"]


def test_more_than_needed_is_only_of_devices_that_nobody_uses(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice(name, name, 0, 2) for name in "abc"])
    store.acquire(ONE, Holder("on a"))
    assert got(store.acquire(DeviceRequest(1, None), Holder("1+"))) == ["b", "c"]
    assert got(store.acquire(DeviceRequest(1, None), Holder("1+"))) == ["a"]


def test_more_than_needed_leaves_enough_for_those_who_wait(folder) -> None:
    store = LeaseStore(folder, [A, B, C, D])
    tickets = [store.queue(DeviceRequest(1, None), Holder(f"waits {n}")) for n in range(3)]
    first = store.acquire(DeviceRequest(1, None), Holder("first"), tickets[0])
    assert got(first) == ["a", "b"]
    assert got(store.acquire(DeviceRequest(1, None), Holder("second"), tickets[1])) == ["c"]
    assert got(store.acquire(DeviceRequest(1, None), Holder("third"), tickets[2])) == ["d"]


def test_the_cpu_is_leased_where_it_is_wanted_or_there_is_nothing_else(folder) -> None:
    both = LeaseStore(folder, [A, CPU])
    on_cpu = both.acquire(DeviceRequest(on_cpu=True), Holder("cpu"))
    assert got(on_cpu) == ["cpu"]
    assert got(both.acquire(ONE, Holder("gpu"))) == ["a"]
    on_cpu.release()
    alone_there = LeaseStore(folder, [CPU])
    alone_there.check(DeviceRequest(4, 4, 6000))
    assert got(alone_there.acquire(DeviceRequest(4, 4, 6000), Holder("four"))) == ["cpu"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (DeviceRequest(3, 3), "3 GPUs needed, but only 2 of 3 such on this machine: a (8000"),
        (DeviceRequest(1, 1, 9000), "only 0 of 1 such"),
        (DeviceRequest(2, None, 6000), "only 1 of 2 such"),
    ],
)
def test_what_can_never_be_leased_is_refused_at_once(folder, request_, said) -> None:
    devices = [LeasableDevice("a", "a", 8000), LeasableDevice("b", "b", 4000), CPU]
    with pytest.raises(ConfigInvalid) as caught:
        LeaseStore(folder, devices).check(request_)
    assert said in str(caught.value)


def test_runs_that_count_slots_differently_never_exceed_the_smaller_number(folder) -> None:
    generous = LeaseStore(folder, [LeasableDevice("a", "a", 0, 3)])
    strict = LeaseStore(folder, [A])
    leases = [generous.acquire(ONE, Holder(f"{n}")) for n in range(2)]
    leases[0].release()
    assert isinstance(strict.acquire(ONE, Holder("strict")), LeaseRefusal)
    leases[1].release()
    lease = strict.acquire(ONE, Holder("strict"))
    assert got(lease) == ["a"]
    assert isinstance(generous.acquire(ONE, Holder("generous")), LeaseRefusal)
    lease.release()
    first = generous.acquire(ONE, Holder("generous"))
    assert [got(generous.acquire(ONE, Holder(f"{n}"))) for n in range(2)] == [["a"], ["a"]]
    assert isinstance(generous.acquire(ONE, Holder("one too many")), LeaseRefusal)
    first.release()


def test_each_device_is_held_as_often_as_its_own_holder_allows(folder) -> None:
    ours = LeaseStore(folder, [A, LeasableDevice("b", "b", 0, 2)])
    assert got(ours.acquire(DeviceRequest(2, 2), Holder("both"))) == ["a", "b"]
    others = LeaseStore(folder, [LeasableDevice(name, name, 0, 2) for name in "ab"])
    assert got(others.acquire(ONE, Holder("joins"))) == ["b"]
    assert isinstance(others.acquire(ONE, Holder("joins")), LeaseRefusal)


def test_a_step_is_admitted_where_measured_memory_suffices(folder) -> None:
    free_mib = {"a": 1000.0, "b": 7000.0}
    devices = [LeasableDevice(name, name, 8000) for name in "ab"]
    store = LeaseStore(folder, devices, lambda device: free_mib[device.uuid])
    assert got(store.acquire(DeviceRequest(1, 1, 6000), Holder("x", vram_mib=6000))) == ["b"]
    refusal = store.acquire(DeviceRequest(1, 1, 6000), Holder("y", vram_mib=6000))
    assert "a has 1000 MiB free" in refusal.reason
    free_mib["a"] = 6000.0
    assert got(store.acquire(DeviceRequest(1, 1, 6000), Holder("y", vram_mib=6000))) == ["a"]


def test_what_holders_said_counts_before_they_have_claimed_it(folder) -> None:
    # Something else uses half of the memory, and what was just leased shows in no measurement yet.
    device = LeasableDevice("a", "a", 8000, 3)
    store = LeaseStore(folder, [device], lambda _: 4000.0)
    request = DeviceRequest(1, 1, 3000)
    assert got(store.acquire(request, Holder("x", vram_mib=3000))) == ["a"]
    assert isinstance(store.acquire(request, Holder("y", vram_mib=3000)), LeaseRefusal)
    long_ago = time.time() - 3600
    os.utime(folder / "a.0.slot", (long_ago, long_ago))
    assert got(store.acquire(request, Holder("y", vram_mib=3000))) == ["a"]


def test_what_holders_said_counts_where_nothing_is_measured(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000, 3)], lambda _: None)
    request = DeviceRequest(1, 1, 4000)
    assert got(store.acquire(request, Holder("x", vram_mib=4000))) == ["a"]
    assert got(store.acquire(request, Holder("y", vram_mib=4000))) == ["a"]
    assert isinstance(store.acquire(request, Holder("z", vram_mib=4000)), LeaseRefusal)


def test_who_waits_for_memory_that_leases_hold_is_not_passed_by_for_ever(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000, 2)], lambda _: None)
    small, big = DeviceRequest(1, 1, 2000), DeviceRequest(1, 1, 7000)
    lease = store.acquire(small, Holder("small", vram_mib=2000))
    ticket = store.queue(big, Holder("big", vram_mib=7000))
    assert isinstance(store.acquire(small, Holder("small too", vram_mib=2000)), LeaseRefusal)
    lease.release()
    assert got(store.acquire(big, Holder("big", vram_mib=7000), ticket)) == ["a"]


def test_who_waits_for_memory_that_strangers_hold_keeps_nobody_waiting(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000)], lambda _: 1000.0)
    store.queue(DeviceRequest(1, 1, 7000), Holder("big", vram_mib=7000))
    assert got(store.acquire(ONE, Holder("small"))) == ["a"]


def test_looking_shows_what_others_hold_of_other_devices_and_makes_no_file(folder) -> None:
    other = LeaseStore(folder, [LeasableDevice("MIG-GPU-x/1/0", "x", 0, 2)])
    lease = other.acquire(ONE, Holder("there"))
    before = sorted(folder.iterdir())
    seen = LeaseStore(folder, [A]).look()[0]
    assert [(slot.device.uuid, slot.number) for slot in seen] == [("a", 0), ("MIG-GPU-x/1/0", 0)]
    assert seen[0].holder is None
    assert seen[1].holder.work == "there"
    lease.release()
    assert [slot.device.uuid for slot in LeaseStore(folder, [A]).look()[0]] == ["a"]
    assert sorted(folder.iterdir()) == before


def test_a_holder_says_who_it_is() -> None:
    holder = Holder("step detections", "0123456789ab", vram_mib=6000, slots=2)
    read = Holder.read(json.loads(json.dumps(vars(holder))))
    assert read == holder
    assert "step detections of run 01234567 (" in str(holder)
    assert user_name() in str(holder)


def test_taking_and_releasing_uncontended_takes_less_than_five_milliseconds(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice(name, name, 0, 2) for name in "abcd"])
    times_s = []
    for _ in range(200):
        start = time.perf_counter()
        store.acquire(ONE, Holder("work")).release()
        times_s.append(time.perf_counter() - start)
    assert statistics.median(times_s) < 0.005
