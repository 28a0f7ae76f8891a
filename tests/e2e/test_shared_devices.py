"""Many runs on few devices, with kills, terminations and retries: nobody gets a slot twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import is_alive
from support.waiting import wait_until
from support.web_server import WebServer

HERE = Path(__file__).parent
DEVICES = ["g0", "g1", "g2", "g3"]
N_SLOTS = 2
N_STEPS = 3
OVER = {"SUCCESS", "FAILURE", "CANCELED"}
INSTANCE = """
telemetry: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""

LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
TERMINATE = """
mutation($id: String!) {
  terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } }
}"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"

pytestmark = pytest.mark.slow


class Server(WebServer):
    """A running `dagster-webserver` with the job of `shared_devices.py`, and what it is asked."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.leases = folder / "leases"
        self.trace_file = folder / "trace.jsonl"
        self._gate = folder / "gate"
        own = {
            "DAGSTER_HOME": str(folder / "home"),
            "BADC_LEASE_DIR": str(self.leases),
            "BADC_TEST_TRACE": str(self.trace_file),
            "BADC_TEST_GATE": str(self._gate),
        }
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")
        job = HERE / "shared_devices.py"
        super().__init__(folder, {**environment, **own}, "dagster-webserver", "-f", job)

    def launch(self, tags: dict[str, str]) -> str:
        """Returns the id of a new run."""
        settings = {"devices": DEVICES, "slots_per_device": N_SLOTS, "max_concurrent": N_STEPS}
        params = {
            "selector": {
                "repositoryLocationName": "shared_devices.py",
                "repositoryName": "__repository__",
                "jobName": "sharing",
            },
            "runConfigData": json.dumps({"execution": {"config": settings}}),
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }
        answer = self.ask(LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def launch_all(self, tags: list[dict[str, str]]) -> list[str]:
        """Returns the ids of new runs, none of whose steps ends before the last has begun."""
        runs = [self.launch(one) for one in tags]
        wait_until(lambda: all(self.status(one) != "STARTING" for one in runs))
        self._gate.touch()
        return runs

    def terminate(self, run_id: str) -> None:
        answer = self.ask(TERMINATE, id=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def status(self, run_id: str) -> str:
        return self.ask(STATUS, id=run_id)["runOrError"]["status"]

    def trace(self, run_id: str = "") -> list[dict[str, Any]]:
        """Returns what steps told, of one run or of all."""
        if not self.trace_file.exists():
            return []
        text = self.trace_file.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if run_id in {"", line.get("run")}]

    def at_work(self, run_id: str) -> list[dict[str, Any]]:
        """Returns the steps of a run that have begun and whose processes live."""
        over = {line["pid"] for line in self.trace() if line["kind"] != "start"}
        return [
            line
            for line in self.trace(run_id)
            if line["kind"] == "start" and line["pid"] not in over and is_alive(line["pid"])
        ]

    def kill_step(self, line: dict[str, Any]) -> None:
        """Kills a step's process, and says in the trace from when on."""
        told = {"kind": "killed", "pid": line["pid"], "at_s": time.monotonic()}
        os.kill(line["pid"], signal.SIGKILL)
        wait_until(lambda: not is_alive(line["pid"]), 20)
        # A step that was over before the kill has said so itself.
        with self.trace_file.open("a", encoding="utf-8") as trace:
            trace.write(json.dumps(told) + "\n")

    def close(self) -> None:
        for line in self.trace():
            for pid in (line["pid"], line.get("worker", 0)):
                if pid and is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
        self.stop()


@pytest.fixture
def server(environment, tmp_path, lacking) -> Iterator[Server]:
    """Returns a web server on 127.0.0.1 whose runs share four declared devices of two slots."""
    if not Path("/proc/self/stat").exists():
        lacking("/proc, to see which processes live")
    server = Server(tmp_path, environment)
    try:
        wait_until(server.is_up)
        yield server
    finally:
        server.close()


def check(server: Server) -> None:
    """Has the trace and the lease folder checked by the script that knows nothing of BADC."""
    checked = subprocess.run(
        [
            *(sys.executable, "-I", HERE / "check_lease_trace.py", server.trace_file),
            *("--slots", str(N_SLOTS), "--leases", server.leases),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def lengths(chance: random.Random) -> str:
    return " ".join(f"{chance.uniform(0.5, 2.5):.2f}" for _ in range(N_STEPS))


def finish(server: Server, survivors: list[str], others: list[str]) -> None:
    """Waits until all is over, and makes sure that every step of the survivors was done."""
    wait_until(lambda: all(server.status(one) in OVER for one in survivors))
    wait_until(lambda: not any(server.at_work(one) for one in others))
    # A process outlives its last word in the trace by a moment.
    wait_until(lambda: not any(is_alive(line["pid"]) for line in server.trace()), 30)
    assert {one: server.status(one) for one in survivors} == dict.fromkeys(survivors, "SUCCESS")
    for one in survivors:
        # One that is killed between its last word and its last event is done again.
        done = {line["step"] for line in server.trace(one) if line["kind"] == "done"}
        assert done == {f"step_{number}" for number in range(N_STEPS)}
    check(server)


@pytest.mark.parametrize("n_each", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_many_runs_share_four_devices_whatever_befalls_them(server, n_each):
    """Every fate has as many runs, and so has none at all."""
    chance = random.Random(4)
    tags = [{"seconds": lengths(chance)} for _ in range(5 * n_each)]
    fates = [slice(number * n_each, (number + 1) * n_each) for number in range(4)]
    for number, one in enumerate(tags[fates[3]]):
        one["fails_once"] = str(number)
    runs = server.launch_all(tags)
    cancelled, orphaned, bereaved, failing = (runs[fate] for fate in fates)
    to_do = dict.fromkeys(cancelled, "terminate")
    to_do |= dict.fromkeys(orphaned, "kill worker") | dict.fromkeys(bereaved, "kill step")

    def disturb() -> bool:
        for one, what in list(to_do.items()):
            assert server.status(one) not in OVER, f"too late to {what}"
            if at_work := server.at_work(one):
                befall(server, what, at_work[0])
                del to_do[one]
        return not to_do

    wait_until(disturb)
    finish(server, runs[2 * n_each :], runs[: 2 * n_each])
    assert {server.status(one) for one in cancelled} == {"CANCELED"}
    for one in bereaved:
        assert any(line["attempt"] == 1 for line in server.trace(one))
    for one in failing:
        assert [line["kind"] for line in server.trace(one)].count("broken off") == 1


def befall(server: Server, what: str, line: dict[str, Any]) -> None:
    """Does something to the run of a step that is at work."""
    if what == "terminate":
        server.terminate(line["run"])
    elif what == "kill worker":
        os.kill(line["worker"], signal.SIGKILL)
    else:
        server.kill_step(line)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [2])
def test_random_kills_at_random_moments_leave_no_lease_behind(server, seed):
    chance = random.Random(seed)
    runs = server.launch_all([{"seconds": lengths(chance)} for _ in range(5)])
    unharmed = set(runs)
    befallen = []
    wait_until(server.trace)
    for _ in range(6):
        time.sleep(chance.uniform(0.0, 1.5))
        at_work = [line for one in runs for line in server.at_work(one)]
        if not at_work:
            continue
        line = chance.choice(at_work)
        kills = ["kill worker", "kill step"]
        what = chance.choice([*kills, "terminate"] if befallen else kills)
        if what != "kill step" or line["attempt"] == 2:
            unharmed.discard(line["run"])
        if is_alive(line["worker"]) and server.status(line["run"]) == "STARTED":
            befall(server, what, line)
            befallen.append(what)
    assert befallen, "nothing was killed"
    wait_until(lambda: all(is_over(server, one) for one in runs))
    finish(server, sorted(unharmed), sorted(set(runs) - unharmed))


def is_over(server: Server, run_id: str) -> bool:
    """Whether a run is over, or its worker has ended and so have its steps."""
    workers = {line["worker"] for line in server.trace(run_id) if "worker" in line}
    if server.status(run_id) in OVER:
        return True
    return bool(workers) and not any(map(is_alive, workers)) and not server.at_work(run_id)
