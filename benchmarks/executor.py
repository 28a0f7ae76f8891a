"""What leasing devices costs: 50 steps that do nothing, against Dagster's multiprocess executor.

Each step asks for one of four declared devices, which Dagster's own executor does not heed. Every
run is in a process of its own and the executors take turns, so that none profits from another.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseStore
from badc_core.devices.places import usable_cores
from badc_dagster.executor import gpu_executor

_N_STEPS = 50
_N_LEASES = 500
_DEVICES = ["g0", "g1", "g2", "g3"]
_OURS = {"devices": _DEVICES, "slots_per_device": 2}
_CONFIGS: dict[str, dict[str, Any]] = {
    "executor": _OURS,
    "multiprocess": {},
    "multiprocess_forkserver": {"start_method": {"forkserver": {}}},
}


def measure(n_rounds: int = 2) -> dict[str, Any]:
    """Returns wall times of the executors, ours over theirs, and what a lease costs."""
    rounds: dict[str, list[float]] = {name: [] for name in _CONFIGS}
    for _ in range(n_rounds):
        for name, walls in rounds.items():
            walls.append(_run_apart(name))
    return {
        **{f"{name}_50_steps_s": round(median(walls), 2) for name, walls in rounds.items()},
        "executor_over_multiprocess": _ratio(rounds, "multiprocess"),
        "executor_over_multiprocess_forkserver": _ratio(rounds, "multiprocess_forkserver"),
        "lease_acquire_release_ms": round(_measure_leases(), 3),
    }


def find_job(name: str) -> dg.JobDefinition:
    """Returns the job under one of the executors; each process that runs a step asks for it."""
    executor = gpu_executor if name == "executor" else dg.multiprocess_executor
    graph = dg.GraphDefinition(name=name, node_defs=[_nothing(n) for n in range(_N_STEPS)])
    return graph.to_job(executor_def=executor)


def _nothing(number: int) -> dg.OpDefinition:
    @dg.op(name=f"nothing_{number}", tags={"badc/devices": "1"})
    def nothing() -> None:
        pass

    return nothing


def _ratio(rounds: dict[str, list[float]], peer: str) -> float:
    """Returns the median of the rounds' ratios: what is divided was measured side by side."""
    pairs = zip(rounds["executor"], rounds[peer], strict=True)
    return round(median(ours / theirs for ours, theirs in pairs), 3)


def _run_apart(name: str) -> float:
    """Returns the wall time of one run, in a process and a Dagster home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"DAGSTER_HOME": folder, "BADC_LEASE_DIR": str(Path(folder) / "leases")}
        done = subprocess.run(
            [sys.executable, __file__, name],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _execute(name: str) -> float:
    """Returns the seconds a run takes in this process.

    Raises:
        RuntimeError: it failed.
    """
    config = {**_CONFIGS[name], "max_concurrent": usable_cores()}
    job = dg.build_reconstructable_job(
        "executor",
        "find_job",
        reconstructable_args=(name,),
        reconstructor_working_directory=str(Path(__file__).parent),
    )
    with dg.DagsterInstance.get() as instance:
        instance.get_runs(limit=1)  # makes the tables, which is no executor's work
        before_s = time.monotonic()
        result = dg.execute_job(job, instance, run_config={"execution": {"config": config}})
        took_s = time.monotonic() - before_s
        if not result.success:
            raise RuntimeError(f"the run with {name} failed")
    return took_s


def _measure_leases() -> float:
    """Returns milliseconds to get a lease and give it back, while nobody else wants one."""
    devices = [LeasableDevice(name, name, slots=2) for name in _DEVICES]
    request, walls = DeviceRequest(), []
    with tempfile.TemporaryDirectory() as folder:
        store = LeaseStore(lease_folder(folder), devices)
        for _ in range(_N_LEASES):
            before_s = time.perf_counter()
            lease = store.acquire(request, Holder("benchmark"))
            if not isinstance(lease, Lease):
                raise TypeError(f"no lease: {lease.reason}")
            lease.show_ended()
            walls.append(time.perf_counter() - before_s)
    return median(walls) * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(_CONFIGS), help="run this one only")
    chosen = parser.parse_args().name
    print(json.dumps(_execute(chosen) if chosen else measure()))
