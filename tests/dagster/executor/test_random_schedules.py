"""Any order of asking, ending and dying: no slot is held twice, and in the end all get theirs."""

import os
import tempfile
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.leases import LeaseStore
from badc_dagster.executor import step_leases
from badc_dagster.executor.step_leases import StepLeases

N_RUNS = 3
N_STEPS = 3
DEVICES = [LeasableDevice("a", "a", slots=2), LeasableDevice("b", "b", slots=1)]
REQUESTS = [DeviceRequest(), DeviceRequest(), DeviceRequest(2, 2)]

deeds = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "end", "orphan", "bury", "close"]),
    st.integers(0, N_RUNS - 1),
    st.integers(0, N_STEPS - 1),
)


class Host:
    """Runs as a host has them; an orphan is a descriptor that a step's process still has."""

    def __init__(self, folder: Path) -> None:
        self.folder = lease_folder(folder)
        self.store = LeaseStore(self.folder, DEVICES)
        self.runs = [self.new_run(number) for number in range(N_RUNS)]
        self.missing = {(run, step) for run in range(N_RUNS) for step in range(N_STEPS)}
        self.orphans: list[tuple[tuple[str, ...], list[int]]] = []

    def new_run(self, number: int) -> StepLeases:
        return StepLeases(self.store, self.folder, str(number))

    def ask(self, run: int, step: int) -> None:
        """Asks for whatever of a run is missing, a certain step first, as one round does."""
        leases = self.runs[run]
        leases.begin_round()
        for number in (step, *range(N_STEPS)):
            key = str(number)
            if (run, number) in self.missing and not leases.lease_of(key):
                leases.acquire(key, REQUESTS[number])
        leases.end_round()

    def end(self, run: int, step: int) -> None:
        if self.runs[run].lease_of(str(step)):
            self.missing.discard((run, step))
            self.runs[run].release(str(step))

    def orphan(self, run: int, step: int) -> None:
        """Kills a run's worker while a step goes on; a new run takes over what is missing."""
        if held := self.runs[run].lease_of(str(step)):
            copies = [os.dup(one) for one in held.descriptors]
            self.orphans.append((held.slots, copies))
            self.close(run, step)

    def bury(self, _run: int, _step: int) -> None:
        if self.orphans:
            for descriptor in self.orphans.pop(0)[1]:
                os.close(descriptor)

    def close(self, run: int, _step: int) -> None:
        self.runs[run].close()
        self.runs[run] = self.new_run(run)

    def slots(self) -> list[str]:
        """Returns every slot as often as it is held."""
        held = [leases.lease_of(str(n)) for leases in self.runs for n in range(N_STEPS)]
        mine = [slot for one in held if one for slot in one.slots]
        return mine + [slot for slots, _ in self.orphans for slot in slots]

    def locked(self) -> list[str]:
        return sorted(
            f"{one.device.label} slot {one.number}" for one in self.store.look()[0] if one.holder
        )


@given(st.lists(deeds, max_size=40))
def test_no_slot_is_held_twice_and_everybody_gets_theirs(schedule):
    before, step_leases._POLL_S = step_leases._POLL_S, 0.0
    try:
        with tempfile.TemporaryDirectory() as folder:
            host = Host(Path(folder))
            for deed, run, step in schedule:
                getattr(host, deed)(run, step)
                assert sorted(host.slots()) == host.locked()
                assert len(set(host.slots())) == len(host.slots())
            finish(host)
    finally:
        step_leases._POLL_S = before


def finish(host: Host) -> None:
    """Lets all steps go on to their end, and makes sure that nothing is left then."""
    while host.orphans:
        host.bury(0, 0)
    end_s = time.monotonic() + 20
    while host.missing:
        assert time.monotonic() < end_s, f"{host.missing} never got a device"
        for run in range(N_RUNS):
            host.ask(run, 0)
        for run in range(N_RUNS):
            for step in range(N_STEPS):
                host.end(run, step)
    for run in range(N_RUNS):
        host.ask(run, 0)
    assert host.locked() == []
    assert host.store.look()[1] == []
    assert not list(host.folder.rglob("*.ticket"))
