import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from badc_core.devices import lease_files, lease_slots
from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import FOLDER_VARIABLE, alone, lease_folder
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_slots import Holder, Lease
from badc_core.devices.leases import LeaseStore, Refusal
from badc_core.errors import ConfigInvalid, LeasesBusy

TAKER = Path(__file__).parent / "lease_taker.py"
A, B, C, D = (LeasableDevice(name, name) for name in "abcd")
CPU = LeasableDevice("cpu", "cpu")
ONE = DeviceRequest()
LONG_S = 10.0
NOBODY = 65_534


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "leases"))
    return lease_folder()


class Taker:
    """Another process."""

    def __init__(self, folder: Path, *devices: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, TAKER, folder, *devices],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._answer() == "ready"

    def __call__(self, command: str):
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def open_in(folder: Path) -> list[int]:
    """Returns this process's descriptors of files in a folder."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if path.readlink().is_relative_to(folder):
                found.append(int(path.name))
    return found


@pytest.fixture
def taker(folder):
    takers = []

    def start(*devices: str) -> Taker:
        takers.append(Taker(folder, *devices))
        return takers[-1]

    yield start
    for one in takers:
        one.kill()


def got(answer) -> list[str]:
    assert isinstance(answer, Lease), answer
    return [device.uuid for device in answer.devices]


def taken_within(store, limit_s=LONG_S, request=ONE) -> tuple[Lease, float]:
    """Returns a lease as soon as there is one, and how long that took."""
    start = time.monotonic()
    while time.monotonic() - start < limit_s:
        answer = store.take(request, Holder("next"))
        if isinstance(answer, Lease):
            return answer, time.monotonic() - start
        time.sleep(0.002)
    raise AssertionError(answer.reason)


# --- lending ---


def test_slots_are_lent_breadth_first_and_no_more_than_there_are(folder) -> None:
    devices = [LeasableDevice(name, name, 0, 2) for name in "ab"]
    store = LeaseStore(folder, devices)
    leases = [store.take(ONE, Holder(f"work {n}")) for n in range(4)]
    assert [got(lease) for lease in leases] == [["a"], ["b"], ["a"], ["b"]]
    assert [lease.slots[0].number for lease in leases] == [0, 0, 1, 1]
    refusal = store.take(ONE, Holder("late"))
    assert isinstance(refusal, Refusal)
    assert "waiting for 1 GPU; a slot 0 is held by work 0 (" in refusal.reason
    assert f"pid {os.getpid()}" in refusal.reason
    leases[2].release()
    assert got(store.take(ONE, Holder("late"))) == ["a"]


def test_several_devices_are_lent_together_or_not_at_all(folder) -> None:
    store = LeaseStore(folder, [A, B])
    first = store.take(ONE, Holder("one"))
    assert isinstance(store.take(DeviceRequest(2, 2), Holder("two")), Refusal)
    second = store.take(ONE, Holder("another"))
    assert got(second) == ["b"]
    first.release()
    second.release()
    assert got(store.take(DeviceRequest(2, 2), Holder("two"))) == ["a", "b"]


def test_a_range_takes_what_is_idle_up_to_its_end(folder) -> None:
    store = LeaseStore(folder, [A, B, C, D])
    assert got(store.take(DeviceRequest(1, 2), Holder("1-2"))) == ["a", "b"]
    assert got(store.take(DeviceRequest(1, None), Holder("1+"))) == ["c", "d"]


def test_more_than_needed_is_only_of_devices_that_nobody_uses(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice(name, name, 0, 2) for name in "abc"])
    store.take(ONE, Holder("on a"))
    assert got(store.take(DeviceRequest(1, None), Holder("1+"))) == ["b", "c"]
    assert got(store.take(DeviceRequest(1, None), Holder("1+"))) == ["a"]


def test_more_than_needed_leaves_enough_for_those_who_wait(folder) -> None:
    store = LeaseStore(folder, [A, B, C, D])
    tickets = [store.queue(DeviceRequest(1, None), Holder(f"waits {n}")) for n in range(3)]
    first = store.take(DeviceRequest(1, None), Holder("first"), tickets[0])
    assert got(first) == ["a", "b"]
    assert got(store.take(DeviceRequest(1, None), Holder("second"), tickets[1])) == ["c"]
    assert got(store.take(DeviceRequest(1, None), Holder("third"), tickets[2])) == ["d"]


def test_the_cpu_is_lent_where_it_is_wanted_or_there_is_nothing_else(folder) -> None:
    both = LeaseStore(folder, [A, CPU])
    on_cpu = both.take(DeviceRequest(on_cpu=True), Holder("cpu"))
    assert got(on_cpu) == ["cpu"]
    assert got(both.take(ONE, Holder("gpu"))) == ["a"]
    on_cpu.release()
    alone_there = LeaseStore(folder, [CPU])
    alone_there.check(DeviceRequest(4, 4, 6000))
    assert got(alone_there.take(DeviceRequest(4, 4, 6000), Holder("four"))) == ["cpu"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (DeviceRequest(3, 3), "3 GPUs asked for, and only 2 of 3 such on this machine: a (8000"),
        (DeviceRequest(1, 1, 9000), "only 0 of 1 such"),
        (DeviceRequest(2, None, 6000), "only 1 of 2 such"),
    ],
)
def test_what_can_never_be_lent_is_refused_at_once(folder, request_, said) -> None:
    devices = [LeasableDevice("a", "a", 8000), LeasableDevice("b", "b", 4000), CPU]
    with pytest.raises(ConfigInvalid) as caught:
        LeaseStore(folder, devices).check(request_)
    assert said in str(caught.value)


def test_runs_that_count_slots_differently_never_exceed_the_smaller_number(folder) -> None:
    generous = LeaseStore(folder, [LeasableDevice("a", "a", 0, 3)])
    strict = LeaseStore(folder, [A])
    leases = [generous.take(ONE, Holder(f"{n}")) for n in range(2)]
    leases[0].release()
    assert isinstance(strict.take(ONE, Holder("strict")), Refusal)
    leases[1].release()
    lease = strict.take(ONE, Holder("strict"))
    assert got(lease) == ["a"]
    assert isinstance(generous.take(ONE, Holder("generous")), Refusal)
    lease.release()
    first = generous.take(ONE, Holder("generous"))
    assert [got(generous.take(ONE, Holder(f"{n}"))) for n in range(2)] == [["a"], ["a"]]
    assert isinstance(generous.take(ONE, Holder("one too many")), Refusal)
    first.release()


def test_each_device_is_held_as_often_as_its_own_holder_allows(folder) -> None:
    ours = LeaseStore(folder, [A, LeasableDevice("b", "b", 0, 2)])
    assert got(ours.take(DeviceRequest(2, 2), Holder("both"))) == ["a", "b"]
    others = LeaseStore(folder, [LeasableDevice(name, name, 0, 2) for name in "ab"])
    assert got(others.take(ONE, Holder("joins"))) == ["b"]
    assert isinstance(others.take(ONE, Holder("joins")), Refusal)


# --- memory ---


def test_a_step_is_admitted_where_measured_memory_suffices(folder) -> None:
    free_mib = {"a": 1000.0, "b": 7000.0}
    devices = [LeasableDevice(name, name, 8000) for name in "ab"]
    store = LeaseStore(folder, devices, lambda device: free_mib[device.uuid])
    assert got(store.take(DeviceRequest(1, 1, 6000), Holder("x", vram_mib=6000))) == ["b"]
    refusal = store.take(DeviceRequest(1, 1, 6000), Holder("y", vram_mib=6000))
    assert "a has 1000 MiB free" in refusal.reason
    free_mib["a"] = 6000.0
    assert got(store.take(DeviceRequest(1, 1, 6000), Holder("y", vram_mib=6000))) == ["a"]


def test_what_holders_said_counts_before_they_have_claimed_it(folder) -> None:
    # Something else uses half of the memory, and what was just lent shows in no measurement yet.
    device = LeasableDevice("a", "a", 8000, 3)
    store = LeaseStore(folder, [device], lambda _: 4000.0)
    request = DeviceRequest(1, 1, 3000)
    assert got(store.take(request, Holder("x", vram_mib=3000))) == ["a"]
    assert isinstance(store.take(request, Holder("y", vram_mib=3000)), Refusal)
    long_ago = time.time() - 3600
    os.utime(folder / "a.0.slot", (long_ago, long_ago))
    assert got(store.take(request, Holder("y", vram_mib=3000))) == ["a"]


def test_what_holders_said_counts_where_nothing_is_measured(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000, 3)], lambda _: None)
    request = DeviceRequest(1, 1, 4000)
    assert got(store.take(request, Holder("x", vram_mib=4000))) == ["a"]
    assert got(store.take(request, Holder("y", vram_mib=4000))) == ["a"]
    assert isinstance(store.take(request, Holder("z", vram_mib=4000)), Refusal)


def test_who_waits_for_memory_that_leases_hold_is_not_passed_by_for_ever(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000, 2)], lambda _: None)
    small, big = DeviceRequest(1, 1, 2000), DeviceRequest(1, 1, 7000)
    lease = store.take(small, Holder("small", vram_mib=2000))
    ticket = store.queue(big, Holder("big", vram_mib=7000))
    assert isinstance(store.take(small, Holder("small too", vram_mib=2000)), Refusal)
    lease.release()
    assert got(store.take(big, Holder("big", vram_mib=7000), ticket)) == ["a"]


def test_who_waits_for_memory_that_strangers_hold_keeps_nobody_waiting(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000)], lambda _: 1000.0)
    store.queue(DeviceRequest(1, 1, 7000), Holder("big", vram_mib=7000))
    assert got(store.take(ONE, Holder("small"))) == ["a"]


# --- the queue ---


def test_first_come_first_served(folder) -> None:
    store = LeaseStore(folder, [A])
    lease = store.take(ONE, Holder("holds"))
    tickets = [store.queue(ONE, Holder(f"waits {n}")) for n in range(3)]
    assert [who.content["work"] for who in store.look()[1]] == ["waits 0", "waits 1", "waits 2"]
    lease.release()
    for late in (None, tickets[2], tickets[1]):
        refusal = store.take(ONE, Holder("late"), late)
        assert isinstance(refusal, Refusal)
        assert "came before" in refusal.reason
    for ticket in tickets:
        lease = store.take(ONE, Holder("waited"), ticket)
        assert got(lease) == ["a"]
        lease.release()
    assert store.look()[1] == []


def test_a_big_request_is_not_starved_by_small_ones(folder) -> None:
    store = LeaseStore(folder, [A, B, C])
    small = [store.take(ONE, Holder("small")) for _ in range(3)]
    big = store.queue(DeviceRequest(3, 3), Holder("big"))
    for n, lease in enumerate(small):
        assert isinstance(store.take(DeviceRequest(3, 3), Holder("big"), big), Refusal)
        lease.release()
        refusal = store.take(ONE, Holder("small again"))
        assert isinstance(refusal, Refusal), n
    assert got(store.take(DeviceRequest(3, 3), Holder("big"), big)) == ["a", "b", "c"]


def test_who_waits_for_devices_that_are_none_of_ours_keeps_nobody_waiting(folder) -> None:
    one, other = LeaseStore(folder, [A, CPU]), LeaseStore(folder, [B, CPU])
    one.take(ONE, Holder("holds a"))
    one.queue(ONE, Holder("waits for a"))
    one.queue(DeviceRequest(on_cpu=True), Holder("waits for the CPU"))
    assert got(other.take(ONE, Holder("b"))) == ["b"]
    assert isinstance(other.take(DeviceRequest(on_cpu=True), Holder("cpu")), Refusal)


def test_a_withdrawn_place_is_gone(folder) -> None:
    store = LeaseStore(folder, [A])
    ticket = store.queue(ONE, Holder("waits"))
    ticket.withdraw()
    ticket.withdraw()
    assert got(store.take(ONE, Holder("next"))) == ["a"]


def test_a_stopped_process_in_the_queue_does_not_block_others_for_ever(folder, taker) -> None:
    other = taker("a:1")
    name = other("queue 1")
    os.kill(other.pid, signal.SIGSTOP)
    store = LeaseStore(folder, [A])
    assert isinstance(store.take(ONE, Holder("next")), Refusal)
    long_ago = time.time() - 31
    os.utime(folder / "waiting" / name, (long_ago, long_ago))
    lease = store.take(ONE, Holder("next"))
    assert got(lease) == ["a"]
    lease.release()
    os.kill(other.pid, signal.SIGCONT)
    assert other("take 1") == ["a.0"]
    assert store.look()[1] == []


@pytest.mark.parametrize("step_s", [-86_400, 86_400])
def test_after_a_step_of_the_clock_who_asks_is_awake_again(folder, step_s) -> None:
    store = LeaseStore(folder, [A])
    lease = store.take(ONE, Holder("holds"))
    ticket = store.queue(ONE, Holder("waits"))
    then = time.time() - step_s
    os.utime(folder / "waiting" / ticket.name, (then, then))
    assert not store.look()[1][0].is_awake
    store.take(ONE, Holder("waits"), ticket)
    assert store.look()[1][0].is_awake
    lease.release()
    assert isinstance(store.take(ONE, Holder("late")), Refusal)


def test_a_killed_process_leaves_the_queue(folder, taker) -> None:
    other = taker("a:1")
    other("queue 1")
    store = LeaseStore(folder, [A])
    assert isinstance(store.take(ONE, Holder("next")), Refusal)
    other.kill()
    assert got(store.take(ONE, Holder("next"))) == ["a"]
    assert list((folder / "waiting").iterdir()) == []


# --- the end of processes ---


def test_a_device_is_free_at_once_when_its_holder_is_killed(folder, taker) -> None:
    store = LeaseStore(folder, [A])
    times_s = []
    for _ in range(3):
        other = taker("a:1")
        assert other("take 1") == ["a.0"]
        assert isinstance(store.take(ONE, Holder("next")), Refusal)
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
        assert isinstance(store.take(ONE, Holder("next")), Refusal)
        other.kill()
        assert isinstance(store.take(ONE, Holder("next")), Refusal)
        assert store.look()[0][0].holder.pid == other.pid
    finally:
        os.kill(pid, signal.SIGKILL)
    lease, waited_s = taken_within(store)
    assert got(lease) == ["a"]
    assert waited_s < 5


def test_a_fork_amid_a_decision_keeps_nothing_that_was_not_lent(folder) -> None:
    store = LeaseStore(folder, [A, B])
    script = "import os, time; time.sleep(60)"
    with alone(folder):
        # As if another thread forked: the child has everything that is open just now.
        descriptors = open_in(folder)
        child = subprocess.Popen([sys.executable, "-c", script], pass_fds=descriptors)
    try:
        assert descriptors
        assert got(store.take(DeviceRequest(2, 2), Holder("both"))) == ["a", "b"]
    finally:
        child.kill()
        child.wait()


# --- files ---


def test_the_folder_is_the_hosts_part_of_the_chosen_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "by" / "variable"))
    assert lease_folder() == tmp_path / "by" / "variable" / socket.gethostname()
    assert lease_folder(tmp_path / "chosen") == tmp_path / "chosen" / socket.gethostname()
    for one in (tmp_path / "chosen", lease_folder(tmp_path / "chosen")):
        assert one.stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize("name", ["", "..", "a/b", "x y"])
def test_odd_host_names_make_one_plain_folder(tmp_path, monkeypatch, name) -> None:
    # There is one host name here, and it is not odd.
    monkeypatch.setattr(lease_files.socket, "gethostname", lambda: name)
    assert lease_folder(tmp_path / "leases").parent == tmp_path / "leases"


def test_all_users_get_the_same_usual_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(lease_files, "_OTHER_FOLDER", tmp_path / "other")
    monkeypatch.setattr(lease_files, "_USUAL_FOLDER", tmp_path / "usual")
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "mine"))
    (tmp_path / "other").mkdir()
    assert lease_folder().parent == tmp_path / "other" / "badc-leases"
    (tmp_path / "usual").mkdir(mode=0o755)  # root may write to it, others not
    assert lease_folder().parent == tmp_path / "other" / "badc-leases"
    (tmp_path / "usual").chmod(0o1777)
    assert lease_folder().parent == tmp_path / "usual" / "badc-leases"


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere")
    for place in (tmp_path / "file", tmp_path / "file" / "in", tmp_path / "astray", "/proc/no"):
        with pytest.raises(ConfigInvalid, match=f"Set {FOLDER_VARIABLE}"):
            lease_folder(place)


def test_files_and_folders_are_for_all_users_whatever_the_umask(tmp_path) -> None:
    before = os.umask(0o077)
    try:
        folder = lease_folder(tmp_path / "leases")
        store = LeaseStore(folder, [A])
        store.take(ONE, Holder("holds"))
        store.queue(ONE, Holder("waits"))
    finally:
        os.umask(before)
    found = {path.name: path for path in folder.rglob("*")}
    assert found.pop("waiting").stat().st_mode & 0o7777 == 0o1777
    assert len(found) == 3
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o666}


def test_two_users_share_devices(taker, tmp_path_factory, lacking) -> None:
    if os.getuid() != 0:
        lacking("root, who alone may become another user")
    # Not below tmp_path, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="badc-leases-") as place:
        Path(place).chmod(0o755)
        folder = lease_folder(Path(place) / "leases")
        mine, other = Taker(folder, "a:1", "b:1"), Taker(folder, "a:1", "b:1")
        try:
            assert other(f"become {NOBODY}") == NOBODY
            assert other("take 1") == ["a.0"]
            assert (folder / "a.0.slot").stat().st_uid == NOBODY
            assert mine("take 1") == ["b.0"]
            name = other("queue 1")
            assert "2 held" not in other("take 1")
            assert "a slot 0 is held by work (" in mine("take 1")
            mine("release")
            assert "1 came before" in mine("take 1")
            assert other("take 1") == ["b.0"]
            assert not (folder / "waiting" / name).exists()
            mine("queue 1")
            mine.kill()
            other("release")
            assert other("take 1") == ["b.0"]  # a dead ticket of another user is no obstacle
        finally:
            mine.kill()
            other.kill()


SPOILT = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 60_000,
    b"x" * 200_000,
    b'{"vram_mib": "much", "pid": [], "user": {}, "work": 3, "since": null, "request": 7}',
    b'{"vram_mib": 1e400, "pid": -1, "request": {"least": "x", "most": {}, "vram_mib": -4}}',
    b'{"request": {"least": 1, "new": true}, "devices": [[], {}, null, "a"], "schema": 9}',
    b'{"work": "\\u001b[2J' + b"x" * 5000 + b'", "devices": "all"}',
]


@pytest.mark.parametrize("content", SPOILT, ids=range(len(SPOILT)))
def test_spoilt_content_breaks_nobody(folder, content) -> None:
    store = LeaseStore(folder, [LeasableDevice("a", "a", 8000, 2)], lambda _: 8000.0)
    first = store.take(ONE, Holder("first"))
    ticket = store.queue(ONE, Holder("waits"))
    (folder / "a.0.slot").write_bytes(content)
    (folder / "waiting" / ticket.name).write_bytes(content)
    request = DeviceRequest(1, 1, 100)
    slots, queue = store.look()
    assert slots[0].holder is not None
    assert all(ord(letter) >= 32 for letter in str(slots[0].holder))
    assert len(str(slots[0].holder)) < 1000
    assert len(queue) == 1
    assert isinstance(store.take(request, Holder("late")), Refusal)
    assert got(store.take(request, Holder("waited"), ticket)) == ["a"]
    first.release()


def test_foreign_things_in_the_folder_break_nobody(folder) -> None:
    (folder / "a.7.slot").mkdir()
    (folder / "x.0.slot").symlink_to("/etc/passwd")
    os.mkfifo(folder / "y.0.slot")
    (folder / ".0.slot").write_text("")
    (folder / "waiting").mkdir()
    os.mkfifo(folder / "waiting" / "1.ticket")
    (folder / "waiting" / "2.ticket").symlink_to("/etc/passwd")
    (folder / "waiting" / "3.ticket").mkdir()
    store = LeaseStore(folder, [A])
    assert got(store.take(ONE, Holder("work"))) == ["a"]
    assert [slot.device.uuid for slot in store.look()[0]] == ["a"]


def test_a_link_in_place_of_a_slot_is_not_followed(folder, tmp_path) -> None:
    (tmp_path / "precious").write_text("precious")
    (folder / "a.0.slot").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"a\.0\.slot"):
        LeaseStore(folder, [A]).take(ONE, Holder("work"))
    assert (tmp_path / "precious").read_text() == "precious"


def test_nothing_stays_open_after_trouble(folder) -> None:
    store = LeaseStore(folder, [A, B])
    (folder / "b.0.slot").mkdir()
    with pytest.raises(OSError, match=r"b\.0\.slot"):
        store.take(ONE, Holder("work"))
    assert len(open_in(folder)) == 0
    (folder / "b.0.slot").rmdir()
    lease = store.take(DeviceRequest(2, 2), Holder("work"))
    assert len(open_in(folder)) == 2
    store.take(ONE, Holder("late"))
    store.look()
    assert len(open_in(folder)) == 2
    lease.release()
    lease.release()
    assert len(open_in(folder)) == 0


def test_a_full_disk_loses_no_lease(folder, monkeypatch) -> None:
    # A limit on the size of files is what a full disk is: nothing more can be written.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        store = LeaseStore(folder, [A, B])
        lease = store.take(DeviceRequest(2, 2), Holder("work"))
        ticket = store.queue(ONE, Holder("waits"))
        assert isinstance(store.take(ONE, Holder("waits"), ticket), Refusal)
        assert got(lease) == ["a", "b"]
        slots, queue = store.look()
        assert [slot.holder.work for slot in slots] == ["?", "?"]
        assert len(queue) == 1
        lease.release()
        assert got(store.take(ONE, Holder("waits"), ticket)) == ["a"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_mutex_that_was_swept_away_keeps_nobody_out_or_two_in(folder) -> None:
    with alone(folder):
        (folder / "mutex.lock").unlink()
        with alone(folder):
            pass  # nobody can know of the one outside; but the next ones meet at the new file
    store = LeaseStore(folder, [A])
    assert got(store.take(ONE, Holder("work"))) == ["a"]


def test_who_is_kept_out_for_long_is_told_by_which_file(folder, monkeypatch) -> None:
    monkeypatch.setattr(lease_files, "_LONGEST_WAIT_S", 0.05)  # who would wait ten seconds?
    store = LeaseStore(folder, [A])
    with alone(folder):
        refusal = store.take(ONE, Holder("work"))
        assert refusal.reason.startswith("waiting for 1 GPU: ")
        assert str(folder / "mutex.lock") in refusal.reason
        with pytest.raises(LeasesBusy):
            store.look()
    assert got(store.take(ONE, Holder("work"))) == ["a"]


def test_who_takes_is_kept_out_for_less_than_a_second(folder) -> None:
    # A process that was stopped amid a decision must not stop those who have other work, too.
    store = LeaseStore(folder, [A])
    with alone(folder):
        start = time.monotonic()
        assert isinstance(store.take(ONE, Holder("work")), Refusal)
        assert 0.3 < time.monotonic() - start < 2.0


def test_looking_shows_what_others_hold_of_other_devices_and_makes_no_file(folder) -> None:
    other = LeaseStore(folder, [LeasableDevice("MIG-GPU-x/1/0", "x", 0, 2)])
    lease = other.take(ONE, Holder("there"))
    before = sorted(folder.iterdir())
    seen = LeaseStore(folder, [A]).look()[0]
    assert [(slot.device.uuid, slot.number) for slot in seen] == [("a", 0), ("MIG-GPU-x/1/0", 0)]
    assert seen[0].holder is None
    assert seen[1].holder.work == "there"
    lease.release()
    assert [slot.device.uuid for slot in LeaseStore(folder, [A]).look()[0]] == ["a"]
    assert sorted(folder.iterdir()) == before


def test_taking_and_releasing_uncontended_takes_less_than_five_milliseconds(folder) -> None:
    store = LeaseStore(folder, [LeasableDevice(name, name, 0, 2) for name in "abcd"])
    times_s = []
    for _ in range(200):
        start = time.perf_counter()
        store.take(ONE, Holder("work")).release()
        times_s.append(time.perf_counter() - start)
    assert statistics.median(times_s) < 0.005


def test_a_holder_says_who_it_is() -> None:
    holder = Holder("step detections", "0123456789ab", vram_mib=6000, slots=2)
    read = Holder.read(json.loads(json.dumps(vars(holder))))
    assert read == holder
    assert "step detections of run 01234567 (" in str(holder)
    assert lease_slots.user_name() in str(holder)
