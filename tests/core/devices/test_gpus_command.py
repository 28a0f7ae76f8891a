import os
import re
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from support.commands import BADC, run_typed
from support.waiting import wait_until

from badc_core.cli.app import build_app
from badc_core.cli.gpu_tables import Picture, render_gpus
from badc_core.cli.gpus import look
from badc_core.devices.inventory import find_gpus
from badc_core.devices.leasable import Declaration, LeasableDevice, leasable_devices
from badc_core.devices.lease_files import exclusive, lease_folder
from badc_core.devices.lease_queue import Waiting
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import DeviceSlot
from badc_core.devices.leases import LeaseStore
from badc_core.devices.nvml import Nvml

A, B = "GPU-8f2c1a0e-9f6d-7a53-2b1c-0d5e6f7a8b9c", "GPU-1f2c1a0e-9f6d-7a53-2b1c-0d5e6f7a8b9d"
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(folder) -> Path:
    return folder.parent


@pytest.fixture
def picture(library, device) -> Picture:
    inventory = find_gpus({}, Nvml(library(device(A), device(B))))
    devices = leasable_devices(inventory, Declaration(), slots=2)
    return Picture(inventory, devices, {A: 70_000.4, B: None}, (), (), Path("/run/lock/x"), AT)


def shown(picture: Picture, width: int = 80) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(render_gpus(picture))
    return [line.rstrip() for line in capture.get().splitlines()]


def said(*arguments: str) -> str:
    return run_typed(build_app(), "gpus", *arguments).output


def test_gpus_are_listed_with_slots_memory_name_and_uuid(picture) -> None:
    lines = shown(picture)
    (line,) = [line for line in lines if line.startswith("gpu-0")]
    assert line.split() == ["gpu-0", "2", "2", "81559", "70000", "NVIDIA", "Test", "80GB"]
    assert A in lines[lines.index(line) + 1]
    (line,) = [line for line in lines if line.startswith("gpu-1")]
    assert line.split()[:5] == ["gpu-1", "2", "2", "81559", "-"]
    assert "Nobody waits." in lines


def test_without_a_gpu_the_reason_stands_first_and_the_cpu_is_the_device(three) -> None:
    inventory = find_gpus({"CUDA_VISIBLE_DEVICES": ""}, Nvml(three))
    devices = leasable_devices(inventory, Declaration())
    lines = shown(Picture(inventory, devices, {}, (), (), Path("/x"), AT))
    assert lines[0].startswith("No GPU: CUDA_VISIBLE_DEVICES='' hides")
    assert [line.split() for line in lines if line.startswith("cpu")] == [
        ["cpu", "1", "1", "-", "-", "-"]
    ]


@pytest.fixture
def three(library, device):
    return library(device(A), device(B))


def test_everything_fits_eighty_columns(picture) -> None:
    holder = Holder(
        "step my_dataset__with_a_really_long_prefix__detections[2024_05_01]",
        "0123456789",
        4_194_303,
        "a-user-with-a-long-name@example.org",
        "2026-04-30T11:58:00+00:00",
        6000,
    )
    slice_ = LeasableDevice("MIG-5c89852c-8f2c-1a0e-9f6d-7a532b1c0d5e", "MIG-5c89852c-8f2c-1a0e", 9)
    picture = replace(
        picture,
        devices=[*picture.devices, slice_],
        slots=[DeviceSlot(picture.devices[0], 0, holder), DeviceSlot(slice_, 3, holder)],
        queue=[Waiting(DeviceRequest(12, None, 80_000), vars(holder), False)],
    )
    lines = shown(picture)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for part in ("[2024_05_01]", "01234567", "4194303", "24 h 02 min", "* leased by a run"):
        assert part in text
    wide = "\n".join(shown(picture, 400))
    for part in (holder.work, holder.user, "12+ GPUs with 80000 MiB free (idle)"):
        assert part in wide


@pytest.mark.parametrize("since", ["", "?", "yesterday", "9999-99-99", "2027-01-01", "0001-01-01"])
def test_a_time_that_makes_no_sense_is_a_dash_or_harmless(picture, since) -> None:
    holder = Holder("work", "", 7, "me", since)
    assert shown(replace(picture, slots=[DeviceSlot(picture.devices[0], 0, holder)]))


def test_markup_and_control_characters_of_others_are_only_text(picture) -> None:
    holder = Holder.read({"work": "[bold]\x1b[2J[/nonsense]", "user": "[red]", "run_id": "[b]x"})
    text = "\n".join(
        shown(replace(picture, slots=[DeviceSlot(picture.devices[0], 0, holder)]), 200)
    )
    assert "[bold] [2J[/nonsense]" in text
    assert "\x1b[2J" not in text


def test_what_is_locked_is_shown_and_nothing_else(place) -> None:
    folder = lease_folder()
    here = LeaseStore(folder, look(None).devices)
    there = LeaseStore(folder, [LeasableDevice("declared:0", "declared:0")])
    lease = there.acquire(DeviceRequest(), Holder("step detections", "89abcdef-01"))
    ticket = here.queue(DeviceRequest(on_cpu=True), Holder("badc infer run"))
    text = said()
    assert re.search(r"^declared:0\* +0 +step detections +89abcdef ", text, re.MULTILINE)
    assert re.search(r"^1 +the CPU +badc infer run ", text, re.MULTILINE)
    lease.release()
    ticket.withdraw()
    text = said()
    assert "declared:0" not in text
    assert re.search(r"^cpu +0 +free *$", text, re.MULTILINE) or find_gpus().gpus
    assert "Nobody waits." in text


def test_devices_of_the_machines_file_and_another_folder_are_shown(place, tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "devices.toml").write_text('[[device]]\nuuid = "odd:1"\nslots = 3\n')
    assert re.search(r"^odd:1 +3 +3 ", said("--lease-dir", str(other)), re.MULTILINE)
    assert "odd:1" not in said()


def test_a_queue_that_cannot_be_read_leaves_the_devices(place, monkeypatch) -> None:
    # Nobody should have to wait the ten seconds that it takes.
    monkeypatch.setattr("badc_core.devices.lease_files._MAX_WAIT_S", 0.05)
    with exclusive(lease_folder()):
        text = said()
    assert "Slots cannot be read now: " in text
    assert "mutex.lock" in text
    assert "cpu" in text


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BADC, "gpus", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_folder_that_cannot_be_used_is_one_line_and_exit_code_one(place, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    done = run("--lease-dir", str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {tmp_path}/file/")
    assert "Set BADC_LEASE_DIR to a folder" in done.stderr
    (place / "devices.toml").write_text("slots_per_device = 0\n")
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {place}/devices.toml: slots_per_device: ")


def test_watching_goes_on_until_ctrl_c_and_leaves_the_last_picture(place) -> None:
    mutex = lease_folder() / "mutex.lock"
    mutex.unlink()
    started = subprocess.Popen([BADC, "gpus", "--watch"], stdout=subprocess.PIPE, text=True)
    try:
        wait_until(mutex.exists, 30)
        store = LeaseStore(lease_folder(), [LeasableDevice("declared:0", "declared:0")])
        for _ in range(20):  # and is in nobody's way
            store.acquire(DeviceRequest(), Holder("passing")).release()
        lease = store.acquire(DeviceRequest(), Holder("step detections"))
        time.sleep(4)
        os.kill(started.pid, signal.SIGINT)
        seen = started.communicate(timeout=30)[0]
    finally:
        started.kill()
        started.wait()
    lease.release()
    assert started.returncode == 0
    assert "step detections" in seen[seen.rindex("Devices") :]


def test_no_slot_is_free_where_a_holder_allows_no_other(picture) -> None:
    first = picture.devices[0]
    for slots, free in ((1, "0"), (2, "1"), (0, "1")):
        held = (DeviceSlot(first, 0, Holder("mine", slots=slots)), DeviceSlot(first, 1))
        row = next(line for line in shown(replace(picture, slots=held)) if "gpu-0" in line)
        assert row.split()[1:3] == ["2", free]
