"""Random schedules: no slot is held twice, and nobody waits while what they want is free."""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseStore

HAMMER = Path(__file__).parent / "lease_hammer.py"
MEMORY_MIB = 8000


@dataclass
class Work:
    """A piece of work of a schedule: it waits, holds, or has ended."""

    request: DeviceRequest
    ticket: object = None
    lease: Lease | None = None


class Machine:
    """A machine with devices, and a model of who holds what that shares no code with the store."""

    def __init__(self, folder: Path, slots: list[int]) -> None:
        self.folder = folder
        self.devices = [
            LeasableDevice(f"d{n}", f"d{n}", MEMORY_MIB, many) for n, many in enumerate(slots)
        ]
        self.works: list[Work] = []

    def store(self) -> LeaseStore:
        """Returns a store of its own, as each process has one."""
        return LeaseStore(self.folder, self.devices, lambda device: self.free_mib(device.uuid))

    def free_mib(self, uuid: str) -> float:
        holding = [work for work in self.holding() if uuid in names(work.lease)]
        return MEMORY_MIB - sum(work.request.vram_mib for work in holding)

    def holding(self) -> list[Work]:
        return [work for work in self.works if work.lease]

    def waiting(self) -> list[Work]:
        return [work for work in self.works if work.ticket]

    def come(self, request: DeviceRequest) -> None:
        work = Work(request)
        self.works.append(work)
        self.ask(work)

    def ask(self, work: Work) -> None:
        store = self.store()
        holder = Holder("work", vram_mib=work.request.vram_mib)
        answer = store.acquire(work.request, holder, work.ticket)
        if isinstance(answer, Lease):
            work.lease, work.ticket = answer, None
            least, most = work.request.least, work.request.most or len(self.devices)
            assert least <= len(answer.slots) <= most
        elif work.ticket is None:
            work.ticket = store.queue(work.request, holder)
        self.check()

    def end(self, work: Work) -> None:
        """Ends a piece of work as its process's death would, waiting or not."""
        if work.lease:
            work.lease.release()
        if work.ticket:
            work.ticket.withdraw()
        self.works.remove(work)
        self.check()

    def check(self) -> None:
        held = [
            (slot.device.uuid, slot.number) for work in self.holding() for slot in work.lease.slots
        ]
        assert len(held) == len(set(held))
        used = Counter(uuid for uuid, _ in held)
        assert all(used[one.uuid] <= one.slots for one in self.devices)
        assert all(len(set(names(work.lease))) == len(names(work.lease)) for work in self.holding())
        assert all(self.free_mib(one.uuid) >= 0 for one in self.devices)


def names(lease: Lease) -> list[str]:
    return [slot.device.uuid for slot in lease.slots]


@st.composite
def requests(draw, n_devices: int) -> DeviceRequest:
    least = draw(st.integers(1, n_devices))
    most = draw(st.none() | st.integers(least, n_devices))
    return DeviceRequest(least, most, draw(st.sampled_from([0, 0, 2000, 5000, MEMORY_MIB])))


@given(st.data())
def test_no_schedule_lends_a_slot_twice_or_lets_anybody_wait_for_ever(data) -> None:
    slots = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4), "slots")
    with tempfile.TemporaryDirectory() as place:
        machine = Machine(lease_folder(place), slots)
        try:
            for _ in range(data.draw(st.integers(1, 25), "steps")):
                act(machine, data)
            everybody_is_served(machine)
        finally:
            for work in list(machine.works):
                machine.end(work)


def act(machine: Machine, data) -> None:
    acts = ["come"] + ["ask"] * bool(machine.waiting()) + ["end"] * bool(machine.works)
    act = data.draw(st.sampled_from(acts), "act")
    if act == "come":
        machine.come(data.draw(requests(len(machine.devices)), "request"))
    elif act == "ask":
        machine.ask(data.draw(st.sampled_from(machine.waiting()), "who"))
    else:
        machine.end(data.draw(st.sampled_from(machine.works), "who"))


def everybody_is_served(machine: Machine) -> None:
    """Lets work end, and newcomers press in: whoever waits now must have had their turn."""
    patient = list(machine.waiting())
    # Newcomers press in faster than work ends here, so it may take many rounds.
    for n_round in range(40 * (len(machine.works) + 1)):
        for work in machine.waiting():
            machine.ask(work)
        patient = [work for work in patient if work.ticket]
        if not patient:
            return
        assert machine.holding(), "nobody holds anything, and somebody waits"
        machine.end(machine.holding()[n_round % len(machine.holding())])
        machine.come(DeviceRequest())
        machine.come(DeviceRequest(1, 1, 2000))
    raise AssertionError(f"{patient[0].request} waits for ever")


# --- real processes ---


def hammers(folder: Path, trace: Path, n: int, seconds: float, devices: int, slots: int) -> list:
    arguments = [str(seconds), str(devices), str(slots)]
    return [
        subprocess.Popen([sys.executable, HAMMER, folder, trace, str(seed), *arguments])
        for seed in range(n)
    ]


def held_at_once(trace: Path, slots: int, killed: dict[int, int]) -> Counter:
    """Checks a trace; returns how often each number of leases was held on a device at once.

    Args:
        trace: written by processes that knew nothing of each other.
        slots: of each device.
        killed: pid -> when it had surely ended, on the trace's clock.
    """
    events = [line.split() for line in trace.read_text().splitlines()]
    events += [[str(at), "killed", str(pid)] for pid, at in killed.items()]
    holder_of: dict[str, str] = {}
    seen: Counter = Counter()
    for _, event, pid, *what in sorted(events, key=lambda one: int(one[0])):
        if event == "held":
            for slot in what:
                assert slot not in holder_of, f"{slot} is held by {holder_of[slot]} and {pid}"
                holder_of[slot] = pid
            on_devices = Counter(slot.split(".")[0] for slot in holder_of)
            assert max(on_devices.values()) <= slots
            seen[max(on_devices.values())] += 1
        elif event == "released":
            for slot in what:
                assert holder_of.pop(slot) == pid
        elif event == "killed":
            holder_of = {slot: one for slot, one in holder_of.items() if one != pid}
    assert holder_of == {}
    return seen


@pytest.mark.parametrize(("devices", "slots"), [(3, 1), (2, 2)])
def test_processes_that_hammer_the_store_never_share_a_slot(tmp_path, devices, slots) -> None:
    folder, trace = lease_folder(tmp_path / "leases"), tmp_path / "trace"
    started = hammers(folder, trace, 5, 1.0, devices, slots)
    assert [one.wait(timeout=60) for one in started] == [0] * 5
    seen = held_at_once(trace, slots, {})
    assert sum(seen.values()) > 20
    assert slots in seen
    assert_nothing_is_left(folder, devices, slots)


def test_processes_killed_amid_it_leave_nothing_behind(tmp_path) -> None:
    folder, trace = lease_folder(tmp_path / "leases"), tmp_path / "trace"
    started = hammers(folder, trace, 6, 3.0, 2, 2)
    killed = {}
    chance = random.Random(7)
    while not trace.exists():
        time.sleep(0.01)
    for victim in started[:4]:
        time.sleep(0.1 + 0.4 * chance.random())
        # Stopped first, so that the time of its death stands before whatever its death frees.
        victim.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        killed[victim.pid] = time.monotonic_ns()
        victim.kill()
        victim.wait()
    assert [one.wait(timeout=60) for one in started[4:]] == [0, 0]
    assert sum(held_at_once(trace, 2, killed).values()) > 20
    assert_nothing_is_left(folder, 2, 2)


def assert_nothing_is_left(folder: Path, n_devices: int, n_slots: int) -> None:
    devices = [LeasableDevice(f"d{n}", f"d{n}", 0, n_slots) for n in range(n_devices)]
    slots, queue = LeaseStore(folder, devices).look()
    assert [slot.holder for slot in slots] == [None] * (n_devices * n_slots)
    assert queue == []
    assert list((folder / "waiting").iterdir()) == []
