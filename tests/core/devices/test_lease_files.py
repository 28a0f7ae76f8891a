"""The lease folder: where it lies, whose its files are, and what becomes of odd or spoilt ones."""

import os
import resource
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest
from leasing import ONE, A, B, Taker, got, open_in

from badc_core.devices import lease_files
from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import FOLDER_VARIABLE, exclusive, lease_folder
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.leases import LeaseRefusal, LeaseStore
from badc_core.errors import ConfigInvalid, LeasesBusy

NOBODY = 65_534


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
        store.acquire(ONE, Holder("holds"))
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
            assert "a slot 0 is leased by work (" in mine("take 1")
            mine("release")
            assert "1 earlier in the queue" in mine("take 1")
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
    first = store.acquire(ONE, Holder("first"))
    ticket = store.queue(ONE, Holder("waits"))
    (folder / "a.0.slot").write_bytes(content)
    (folder / "waiting" / ticket.name).write_bytes(content)
    request = DeviceRequest(1, 1, 100)
    slots, queue = store.look()
    assert slots[0].holder is not None
    assert all(ord(letter) >= 32 for letter in str(slots[0].holder))
    assert len(str(slots[0].holder)) < 1000
    assert len(queue) == 1
    assert isinstance(store.acquire(request, Holder("late")), LeaseRefusal)
    assert got(store.acquire(request, Holder("waited"), ticket)) == ["a"]
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
    assert got(store.acquire(ONE, Holder("work"))) == ["a"]
    assert [slot.device.uuid for slot in store.look()[0]] == ["a"]


def test_a_link_in_place_of_a_slot_is_not_followed(folder, tmp_path) -> None:
    (tmp_path / "precious").write_text("precious")
    (folder / "a.0.slot").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"a\.0\.slot"):
        LeaseStore(folder, [A]).acquire(ONE, Holder("work"))
    assert (tmp_path / "precious").read_text() == "precious"


def test_nothing_stays_open_after_trouble(folder) -> None:
    store = LeaseStore(folder, [A, B])
    (folder / "b.0.slot").mkdir()
    with pytest.raises(OSError, match=r"b\.0\.slot"):
        store.acquire(ONE, Holder("work"))
    assert len(open_in(folder)) == 0
    (folder / "b.0.slot").rmdir()
    lease = store.acquire(DeviceRequest(2, 2), Holder("work"))
    assert len(open_in(folder)) == 2
    store.acquire(ONE, Holder("late"))
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
        lease = store.acquire(DeviceRequest(2, 2), Holder("work"))
        ticket = store.queue(ONE, Holder("waits"))
        assert isinstance(store.acquire(ONE, Holder("waits"), ticket), LeaseRefusal)
        assert got(lease) == ["a", "b"]
        slots, queue = store.look()
        assert [slot.holder.work for slot in slots] == ["?", "?"]
        assert len(queue) == 1
        lease.release()
        assert got(store.acquire(ONE, Holder("waits"), ticket)) == ["a"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_mutex_that_was_swept_away_keeps_nobody_out_or_two_in(folder) -> None:
    with exclusive(folder):
        (folder / "mutex.lock").unlink()
        with exclusive(folder):
            pass  # nobody can know of the one outside; but the next ones meet at the new file
    store = LeaseStore(folder, [A])
    assert got(store.acquire(ONE, Holder("work"))) == ["a"]


def test_who_is_kept_out_for_long_is_told_by_which_file(folder, monkeypatch) -> None:
    monkeypatch.setattr(lease_files, "_MAX_WAIT_S", 0.05)  # who would wait ten seconds?
    store = LeaseStore(folder, [A])
    with exclusive(folder):
        refusal = store.acquire(ONE, Holder("work"))
        assert refusal.reason.startswith("waiting for 1 GPU: ")
        assert str(folder / "mutex.lock") in refusal.reason
        with pytest.raises(LeasesBusy):
            store.look()
    assert got(store.acquire(ONE, Holder("work"))) == ["a"]


def test_who_takes_is_kept_out_for_less_than_a_second(folder) -> None:
    # A process that was stopped amid a decision must not stop those who have other work, too.
    store = LeaseStore(folder, [A])
    with exclusive(folder):
        start = time.monotonic()
        assert isinstance(store.acquire(ONE, Holder("work")), LeaseRefusal)
        assert 0.3 < time.monotonic() - start < 2.0
