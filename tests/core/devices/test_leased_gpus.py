"""Work outside any executor takes GPUs only where nobody else has them; the GPUs are made up."""

import fcntl
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.locks import is_locked

from badc_core.chunks.plan import plan_chunks
from badc_core.detectors.registry import identify_detector
from badc_core.devices import current_lease as current_lease_module
from badc_core.devices.current_lease import (
    LEASE_VARIABLE,
    CurrentLease,
    current_lease,
    lease_descriptors,
    leased_gpus,
    unhidden_environment,
)
from badc_core.devices.inventory import VISIBLE, Gpu, GpuInventory
from badc_core.devices.leasable import leasable_devices, read_declaration
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseStore
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import ConfigInvalid
from badc_core.settings import ChunkSettings, Settings

GPUS = tuple(Gpu(number, f"GPU-{number}", "Test", 8000) for number in range(3))
ALL_IDLE = DeviceRequest(1, None)


@pytest.fixture
def store(tmp_path, monkeypatch) -> LeaseStore:
    """Returns the leases of a machine with three GPUs."""
    monkeypatch.setenv("BADC_LEASE_DIR", str(tmp_path / "leases"))
    inventory = GpuInventory(GPUS, "")
    monkeypatch.setattr(current_lease_module, "find_gpus", lambda _: inventory)
    folder = lease_folder()
    return LeaseStore(folder, leasable_devices(inventory, read_declaration(folder.parent)))


def take(store: LeaseStore, request: DeviceRequest) -> Lease:
    answer = store.acquire(request, Holder("another's work"))
    assert isinstance(answer, Lease)
    return answer


def held(store: LeaseStore) -> set[str]:
    return {slot.device.uuid for slot in store.look()[0] if slot.holder}


def test_idle_gpus_are_all_taken_and_given_back(store) -> None:
    with leased_gpus(ALL_IDLE, "mine") as leased:
        assert leased.inventory.gpus == GPUS
        assert held(store) == {"GPU-0", "GPU-1", "GPU-2"}
    assert held(store) == set()


def test_no_more_are_taken_than_are_asked_for(store) -> None:
    with leased_gpus(DeviceRequest(1, 2), "mine") as leased:
        assert leased.inventory.gpus == GPUS[:2]


def test_what_another_holds_is_left_alone(store) -> None:
    other = take(store, DeviceRequest.parse("2"))
    with leased_gpus(ALL_IDLE, "mine") as leased:
        assert leased.inventory.gpus == GPUS[2:]
    other.release()


def test_work_waits_for_a_gpu_and_says_so(store, caplog) -> None:
    other = take(store, DeviceRequest.parse("3"))
    threading.Timer(0.6, other.release).start()
    with leased_gpus(ALL_IDLE, "mine") as leased:
        assert len(leased.inventory.gpus) == 3
    (told,) = caplog.messages
    assert told.startswith("Work is waiting for 1+ GPU")
    assert "another's work" in told
    assert store.look()[1] == []


def test_interrupted_waiting_leaves_no_place_in_the_queue(store, monkeypatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    other = take(store, DeviceRequest.parse("3"))
    monkeypatch.setattr(current_lease_module.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt), leased_gpus(ALL_IDLE, "mine"):
        pass
    assert store.look()[1] == []
    other.release()


def test_more_memory_than_any_gpu_has_is_refused_at_once(store) -> None:
    with (
        pytest.raises(ConfigInvalid, match="9000 MiB"),
        leased_gpus(DeviceRequest(1, 1, 9000), "mine"),
    ):
        pass


def test_one_gpu_of_several_may_be_meant(store) -> None:
    with leased_gpus(DeviceRequest(), "mine", GPUS[1]) as leased:
        assert leased.inventory.gpus == GPUS[1:2]
        assert held(store) == {"GPU-1"}


def test_under_an_executors_lease_nothing_more_is_taken(store, monkeypatch) -> None:
    lease = take(store, DeviceRequest.parse("1"))
    monkeypatch.setenv(LEASE_VARIABLE, CurrentLease.of(lease, 0.0).environment()[LEASE_VARIABLE])
    with leased_gpus(ALL_IDLE, "mine") as leased:
        assert leased.descriptors == lease.descriptors
        assert leased.inventory.gpus == GPUS[:1]
        assert held(store) == {"GPU-0"}
    assert held(store) == {"GPU-0"}
    lease.release()


def test_a_leased_device_that_nvml_does_not_know_is_used_by_its_name(monkeypatch) -> None:
    lease = CurrentLease(("odd-1",), ("odd-1 slot 0",), 0.0)
    monkeypatch.setenv(LEASE_VARIABLE, lease.environment()[LEASE_VARIABLE])
    with leased_gpus(ALL_IDLE, "mine") as leased:
        (gpu,) = leased.inventory.gpus
    assert gpu.uuid == "odd-1"
    assert leased.environment()["CUDA_VISIBLE_DEVICES"] == "odd-1"


def test_declared_devices_are_leased_where_nvml_shows_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BADC_LEASE_DIR", str(tmp_path))
    monkeypatch.setattr(current_lease_module, "find_gpus", lambda _: GpuInventory((), "No driver"))
    (tmp_path / "devices.toml").write_text('[[device]]\nuuid = "odd-1"\n', encoding="utf-8")
    with leased_gpus(ALL_IDLE, "mine") as leased:
        assert [gpu.uuid for gpu in leased.inventory.gpus] == ["odd-1"]
        assert len(leased.descriptors) == 1


def test_without_any_gpu_nothing_is_leased(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BADC_LEASE_DIR", str(tmp_path))
    monkeypatch.setattr(current_lease_module, "find_gpus", lambda _: GpuInventory((), "No driver"))
    with leased_gpus(ALL_IDLE, "mine") as leased:
        assert leased.inventory == GpuInventory((), "No driver")
        assert leased.descriptors == ()


def test_whoever_asks_knows_what_was_taken(store) -> None:
    assert current_lease() is None
    with leased_gpus(DeviceRequest(), "mine"):
        lease = current_lease()
        assert lease is not None
        assert lease.slots == ("gpu-0 slot 0",)
    assert current_lease() is None


def test_descriptors_that_mean_nothing_here_are_not_passed_on(monkeypatch) -> None:
    told = {"devices": ["cpu"], "slots": ["cpu slot 0"], "waited_s": 0, "descriptors": [9999]}
    told["leases_gpus"] = False
    monkeypatch.setenv(LEASE_VARIABLE, json.dumps(told))
    assert lease_descriptors() == ()


def test_a_lease_lasts_until_the_last_worker_has_ended(tmp_path: Path, monkeypatch) -> None:
    audio = tmp_path / "rec.wav"
    sf.write(audio, np.zeros(16_000 * 20), 16_000)
    chunks = plan_chunks("rec", 320_000, 16_000, ChunkSettings(duration_s=10))
    path = tmp_path / "slot"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    lease = CurrentLease(("cpu",), ("cpu slot 0",), 0.0, (descriptor,))
    monkeypatch.setenv(LEASE_VARIABLE, lease.environment()[LEASE_VARIABLE])
    wanted = Settings.model_validate(
        {"detector": {"name": "band_energy"}, "inference": {"cpu_workers": 1}}
    )

    with open_engine(wanted, identify_detector(wanted.detector), lambda _: None) as engine:
        results = engine.run(ChunkTask(audio, 320_000, chunk) for chunk in chunks)
        next(results)
        os.close(descriptor)
        assert is_locked(path)
        assert len(list(results)) == 1
    assert not is_locked(path)


@pytest.mark.parametrize("before", [None, "GPU-1"])
def test_what_an_empty_lease_hides_can_be_seen_again(monkeypatch, before) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/h", **CurrentLease(hides=before).environment()})
    found = unhidden_environment()
    assert found is not None
    assert LEASE_VARIABLE not in found
    assert found.get(VISIBLE) == before
    monkeypatch.setattr(os, "environ", CurrentLease(("GPU-2",)).environment())
    assert unhidden_environment() is None
