"""Real runs of `steps.py`, each in a run worker of its own, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.locks import is_locked
from support.processes import is_alive
from support.waiting import wait_until

from badc_dagster.home import open_instance

DEVICES = ["a", "b"]


class RunWorker:
    """The process of a run, forked from `run_server.py`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 60.0) -> None:
        wait_until(lambda: not is_alive(self.pid), timeout_s)


class RunServer:
    """A process that run workers are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("run_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},  # of `support`
        )

    def start(self, folder: Path, environment: Mapping[str, str], argument: str) -> RunWorker:
        """Starts a run worker whose log is in the folder; `argument` is that of run_worker.py."""
        order = {
            "argument": argument,
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(folder / "runs.log"),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return RunWorker(int(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=60)


class Run:
    """A run with its run worker."""

    def __init__(self, lab: "Lab", process: RunWorker, name: str) -> None:
        self._lab = lab
        self._name = name
        self.process = process

    @property
    def record(self) -> dg.DagsterRun:
        def find() -> list[dg.DagsterRun]:
            return self._lab.instance.get_runs(dg.RunsFilter(tags={"name": self._name}))

        return wait_until(find)[0]

    @property
    def trace(self) -> list[dict[str, Any]]:
        """What its steps told."""
        return [line for line in self._lab.trace if line["run"] == self.record.run_id]

    def has_told(self, kind: str, n: int = 1) -> list[dict[str, Any]]:
        """Returns lines of a kind once there are enough of them; nothing before."""
        lines = [line for line in self.trace if line["kind"] == kind]
        return lines if len(lines) >= n else []

    def started(self, n: int = 1) -> list[dict[str, Any]]:
        """Returns the first steps that began, after having waited for them."""
        return wait_until(lambda: self.has_told("start", n))

    def finish(self, timeout_s: float = 180.0) -> dg.DagsterRunStatus:
        """Returns how it ended."""
        self.process.wait(timeout_s)
        return self.record.status

    def events(self) -> list[dg.DagsterEvent]:
        logs = self._lab.instance.all_logs(self.record.run_id)
        return [entry.dagster_event for entry in logs if entry.dagster_event]

    def messages(self, step: str) -> list[str]:
        """Returns what the event log says of a step."""
        return [one.message or "" for one in self.events() if one.step_key == step]

    def failure(self) -> str:
        """Returns the error that the run ended with."""
        error = next(one for one in self.events() if one.is_failure and one.is_job_event)
        return error.job_failure_data.error.message


class Lab:
    """A machine with declared devices, and runs on it."""

    def __init__(self, folder: Path, server: RunServer) -> None:
        self.folder = folder
        self._server = server
        self.instance = open_instance()
        self.lease_dir = folder / "leases"
        self._trace = folder / "trace.jsonl"
        self._runs: list[Run] = []

    @property
    def trace(self) -> list[dict[str, Any]]:
        if not self._trace.exists():
            return []
        return [json.loads(line) for line in self._trace.read_text(encoding="utf-8").splitlines()]

    @property
    def environment(self) -> dict[str, str]:
        own = {"BADC_LEASE_DIR": str(self.lease_dir), "BADC_TEST_TRACE": str(self._trace)}
        return {**os.environ, **own}

    def start(
        self,
        job: str,
        ops: dict[str, Any] | None = None,
        *,
        select: Sequence[str] = (),
        well: bool = True,
        **executor: Any,
    ) -> Run:
        """Starts a run of a job.

        Args:
            ops: name of an op -> its configuration; those of `Conduct`.
            select: steps to run, all if there are none.
            well: whether `second` succeeds.
            executor: what differs from two devices of one slot, eight steps at once.
        """
        settings = {"devices": DEVICES, "slots_per_device": 1, "max_concurrent": 8, **executor}
        config = {
            "execution": {"config": settings},
            "ops": {name: {"config": one} for name, one in (ops or {}).items()},
        }
        return self._start(well=well, job=job, config=config, select=list(select))

    def start_again(self, run: Run) -> Run:
        """Starts what a run failed to do."""
        run_id = run.record.run_id
        return self._start(job=run.record.job_name, config=run.record.run_config, after=run_id)

    def _start(self, *, well: bool = True, **task: Any) -> Run:
        name = str(len(self._runs))
        environment = {**self.environment, **({"BADC_TEST_WELL": "1"} if well else {})}
        argument = json.dumps({"name": name, **task})
        process = self._server.start(self.folder, environment, argument)
        self._runs.append(Run(self, process, name))
        return self._runs[-1]

    def unlock(self, name: str = "go") -> None:
        """Makes the file that steps wait for."""
        (self.folder / name).touch()

    def waits(self, name: str = "go", **more: Any) -> dict[str, Any]:
        """Returns the configuration of a step that waits for a file."""
        return {"go": str(self.folder / name), **more}

    def locked(self) -> list[str]:
        """Returns the lease folder's files that a process holds."""
        files = (path for path in self.lease_dir.rglob("*.*") if path.is_file())
        return [path.name for path in files if path.name != "devices.toml" and is_locked(path)]

    def tickets(self) -> list[str]:
        return [path.name for path in self.lease_dir.rglob("*.ticket")]

    def close(self) -> None:
        """Ends what a failed test left running."""
        for run in self._runs:
            run.process.kill()
            run.process.wait()
        for pid in {line["pid"] for line in self.trace if is_alive(line["pid"])}:
            os.kill(pid, signal.SIGKILL)
        self.instance.dispose()


@pytest.fixture(scope="session")
def run_server() -> Iterator[RunServer]:
    """Yields what starts run workers."""
    server = RunServer()
    yield server
    server.close()


@pytest.fixture
def lab(home, tmp_path, monkeypatch, run_server) -> Iterator[Lab]:
    """Returns a machine with two declared devices of one slot each."""
    monkeypatch.setenv("BADC_LEASE_DIR", str(tmp_path / "leases"))
    lab = Lab(tmp_path, run_server)
    try:
        yield lab
    finally:
        lab.close()
