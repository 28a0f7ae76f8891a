import logging
import os
import signal
import subprocess
import threading
import time

import pynvml
import pytest
from support.waiting import wait_until

from badc_core.devices.inventory import Gpu
from badc_core.devices.metrics import Reading, summarize_readings
from badc_core.devices.nvml import Nvml
from badc_core.devices.sampler import Sampler

GPU = Gpu(0, "GPU-a", "Test", 1000)


def readings(n: int = 11, **changes) -> list[Reading]:
    """One a second from 100 s on, 200 W all the time."""
    return [
        Reading(
            at_s=100.0 + i,
            utilization=10.0 * i,
            memory_used_mib=1000.0 + i,
            memory_total_mib=8000.0,
            power_w=200.0,
            energy_j=5000.0 + 200.0 * i,
            temperature_c=40.0 + i,
            sm_clock_mhz=1500.0,
            **changes,
        )
        for i in range(n)
    ]


def test_only_readings_of_the_stretch_count() -> None:
    told = summarize_readings(readings(), [1], 102.0, 104.5)
    assert told is not None
    assert told.samples == 3
    assert (told.utilization_mean, told.utilization_max) == (30.0, 40.0)
    assert told.utilization_of == "device"
    assert told.device_memory_used_mib == 1004.0
    assert told.memory_total_mib == 8000.0
    assert told.temperature_c_max == 44.0
    assert told.power_w_mean == 200.0
    assert told.sm_clock_mhz_mean == 1500.0


@pytest.mark.parametrize(("start_s", "end_s"), [(102.0, 104.5), (103.2, 103.3), (108.0, 111.5)])
def test_energy_is_read_off_the_counter_between_readings_and_a_little_beyond(
    start_s, end_s
) -> None:
    told = summarize_readings(readings(), [1], start_s, end_s)
    assert told is not None
    assert told.energy_wh == pytest.approx(200.0 * (end_s - start_s) / 3600)


def test_without_a_counter_power_is_integrated() -> None:
    without = [Reading(one.at_s, power_w=one.power_w) for one in readings()]
    told = summarize_readings(without, [1], 102.0, 105.0)
    assert told is not None
    assert told.energy_wh == pytest.approx(600 / 3600)
    assert told.utilization_mean is None
    assert told.memory_used_mib is None


def test_a_stretch_between_two_readings_has_the_nearest() -> None:
    told = summarize_readings(readings(), [1], 103.7, 103.8)
    assert told is not None
    assert told.samples == 0
    assert told.utilization_mean == 40.0


def test_nothing_read_is_nothing_told() -> None:
    assert summarize_readings([], [1], 0.0, 1.0) is None


def test_memory_is_the_most_that_the_workers_processes_held_together() -> None:
    told = summarize_readings(
        [
            Reading(1.0, processes={7: 100.0, 8: 50.0, 9: 999.0}, memory_used_mib=2000.0),
            Reading(2.0, processes={7: 120.0, 9: 999.0}, memory_used_mib=2000.0),
            Reading(3.0, processes={9: 999.0}, memory_used_mib=2000.0),
        ],
        {7, 8},
        0.0,
        4.0,
    )
    assert told is not None
    assert told.memory_used_mib == 150.0
    assert told.device_memory_used_mib == 2000.0


@pytest.mark.parametrize("processes", [{}, {9: 500.0}, {7: None}])
def test_memory_nobody_tells_is_none_and_not_zero(processes) -> None:
    told = summarize_readings([Reading(1.0, processes=processes)], [7], 0.0, 2.0)
    assert told is not None
    assert told.memory_used_mib is None


def test_the_processes_own_utilization_is_preferred_and_absence_counts_nothing() -> None:
    shares = [{7: 30.0, 8: 20.0}, {9: 90.0}, {7: 10.0}]
    taken = [
        Reading(float(i), utilization=95.0, process_utilization=one) for i, one in enumerate(shares)
    ]
    told = summarize_readings(taken, {7, 8}, 0.0, 5.0)
    assert told is not None
    assert told.utilization_of == "process"
    assert told.utilization_mean == 20.0
    assert told.utilization_max == 50.0
    assert told.device_utilization_mean == 95.0


def test_a_process_the_driver_never_names_has_the_devices_utilization() -> None:
    told = summarize_readings([Reading(1.0, 70.0, process_utilization={9: 70.0})], {7}, 0.0, 2.0)
    assert told is not None
    assert (told.utilization_of, told.utilization_mean) == ("device", 70.0)


def n_samples(sampler: Sampler) -> int:
    told = sampler.between(GPU, [], 0.0, time.monotonic())
    return told.samples if told else 0


def test_a_gpu_is_read_while_the_work_goes_on(library, device) -> None:
    one = device("GPU-a", utilization=80, used_mib=500, held_mib={7: 300, 9: 100})
    fake = library(one)
    with Sampler([GPU], Nvml(fake), interval_s=0.01) as sampler:
        started_s = time.monotonic()
        wait_until(lambda: n_samples(sampler) > 5)
        told = sampler.between(GPU, [7], started_s, time.monotonic())
    assert told is not None
    assert told.samples >= 4
    assert told.utilization_max == 80
    assert told.memory_used_mib == 300
    assert told.device_memory_used_mib == 500
    assert told.power_w_mean == 300
    assert told.temperature_c_max == 55
    assert fake.n_open == 0
    assert not [one for one in threading.enumerate() if one.name == "gpu-sampler"]


def test_what_a_worker_started_counts_as_the_workers(library, device) -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as worker:
        assert worker.stdout is not None
        child = int(worker.stdout.readline())
        one = device("GPU-a", used_mib=900, held_mib={child: 300, os.getpid(): 200})
        with Sampler([GPU], Nvml(library(one)), interval_s=0.01) as sampler:
            wait_until(lambda: n_samples(sampler) > 0)
            told = sampler.between(GPU, {worker.pid}, 0.0, time.monotonic())
        os.killpg(worker.pid, signal.SIGKILL)
    assert told is not None
    assert told.memory_used_mib == 300


def test_shares_of_processes_are_averaged_and_nonsense_is_dropped(library, device) -> None:
    shares = [(7, 1000, 20), (7, 2000, 40), (7, 3000, 70_000), (9, 2000, 50), (7, 0, 5)]
    fake = library(device("GPU-a", utilization=90, shares=shares))
    with Sampler([GPU], Nvml(fake), interval_s=0.01) as sampler:
        wait_until(lambda: n_samples(sampler) > 0)
        told = sampler.between(GPU, [7], 0.0, time.monotonic())
        assert told is not None
        assert told.utilization_of == "process"
        assert told.utilization_max == 30
        # The same samples are not counted again: since then the process did nothing.
        wait_until(lambda: n_samples(sampler) > 3)
        later = sampler.between(GPU, [7], 0.0, time.monotonic())
    assert later is not None
    assert later.utilization_mean is not None
    assert later.utilization_mean < 30


def test_what_a_gpu_does_not_support_is_asked_once(library, device) -> None:
    one = device("GPU-a", energy_mj=None)
    with Sampler([GPU], Nvml(library(one)), interval_s=0.01) as sampler:
        wait_until(lambda: n_samples(sampler) > 3)
    assert one.questions.count("energy") == 1
    assert one.questions.count("shares") == 1
    assert one.questions.count("power") > 3


def test_a_gpu_that_is_lost_on_the_way_is_said_once_and_disturbs_nothing(
    library, device, caplog
) -> None:
    one = device("GPU-a")
    with (
        caplog.at_level(logging.WARNING),
        Sampler([GPU], Nvml(library(one)), interval_s=0.01) as sampler,
    ):
        wait_until(lambda: n_samples(sampler) > 1)
        one.failure = pynvml.NVML_ERROR_GPU_IS_LOST
        n_asked = len(one.questions)
        wait_until(lambda: len(one.questions) > n_asked + 30)
        lost_s = time.monotonic()
        assert sampler.between(GPU, [], lost_s + 1, lost_s + 2) is None
        one.failure = None
        n_read = n_samples(sampler)
        wait_until(lambda: n_samples(sampler) > n_read)
    warnings = [one for one in caplog.messages if "cannot be measured completely" in one]
    assert len(warnings) == 1


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_UNKNOWN])
def test_without_nvml_there_is_no_metric_and_one_line(library, caplog, code) -> None:
    with Sampler([GPU], Nvml(library(init_failure=code)), interval_s=0.01) as sampler:
        wait_until(lambda: "not measured" in caplog.text)
        assert sampler.between(GPU, [1], 0.0, time.monotonic()) is None
    assert len(caplog.records) == 1


def test_without_gpus_there_is_no_thread() -> None:
    with Sampler([]) as sampler:
        assert not [one for one in threading.enumerate() if one.name == "gpu-sampler"]
        assert sampler.between(GPU, [1], 0.0, 1.0) is None


def test_only_an_hour_is_kept(library, device) -> None:
    sampler = Sampler([GPU], Nvml(library(device("GPU-a"))), interval_s=0.5)
    assert sampler._readings["GPU-a"].maxlen == 7200
