"""What runs on a node: one task of an array, through the body that a host would run.

It needs files only: no Dagster, no database, no lock of the host's. What it has to tell goes into
its own file of events. It ends early, with what is done kept, when its time is nearly over.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from badc_core.engine import protocol
from badc_core.errors import BadcError
from badc_core.hashing import sha256_file
from badc_core.inference.detect import detect_recordings
from badc_core.outcomes import Outcome, unexpected
from badc_core.slurm import memory
from badc_core.slurm.lines import append_line
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.script import STARTED_AT, STOPPED
from badc_core.slurm.values import pack_value
from badc_core.stages.stage import STAGES
from badc_core.stages.step_inputs import StepInputs
from badc_core.steps import BODIES
from badc_core.telemetry.log import Tail, TelemetryLog


class _Stopped(BaseException):
    """The task must end."""


class EventLog:
    """The file of events of one start of a task, and what that start has used so far.

    Args:
        path: of the file.
        place: node, job and submission, for every line.

    Attributes:
        path: of the file.
        audio_s: seconds of sound that were analysed.
        worker_rss_mib: the most memory that a worker used.
        setup_s: from the start of the task to BADC's own.
        analysing_s: from the first chunk to the end of the last.
    """

    def __init__(self, path: Path, place: dict[str, Any]) -> None:
        self.path = path
        self.audio_s = 0.0
        self.worker_rss_mib = 0.0
        self.analysing_s = 0.0
        self._place = place
        self.setup_s = _setup_s()
        self._started_s = time.monotonic()
        gpus = os.environ.get("SLURM_JOB_GPUS", "").split(",")
        self._n_gpus = len(list(filter(None, gpus)))

    def add(self, kind: str, durably: bool = True, **content: Any) -> None:
        """Adds a line."""
        line = {"kind": kind, "at": datetime.now(UTC).isoformat(), **self._place, **content}
        append_line(self.path, line, durably)

    def usage(self) -> dict[str, Any]:
        """Returns what this start of the task has used so far, from Slurm's start of it on."""
        return {
            "gpus": self._n_gpus,
            "elapsed_s": self.setup_s + time.monotonic() - self._started_s,
            "max_rss_mib": max(self.worker_rss_mib, memory.own_peak_mib()),
        }


def _setup_s() -> float:
    """Returns for how long the task was at `slurm.setup`, and at starting Python."""
    started_at = os.environ.get(STARTED_AT, "")
    return max(0.0, time.time() - int(started_at)) if started_at.isdecimal() else 0.0


class _Telemetry(TelemetryLog):
    """Sends the lines of telemetry to the host among the events, and adds up what was analysed."""

    def __init__(self, events: EventLog, path: Path) -> None:
        super().__init__(path)
        self._events = events
        self._first_s: float | None = None

    def append(self, **event: Any) -> None:
        self._first_s = self._first_s or time.monotonic()
        events, rss_mib = self._events, event["details"]["peak_rss_mib"]
        if event["status"] == "success":
            events.audio_s += event["audio_s"]
            events.analysing_s = time.monotonic() - self._first_s
        events.worker_rss_mib = max(events.worker_rss_mib, rss_mib)
        stamped = {"timestamp": datetime.now(UTC).isoformat(), **event}
        self._events.add("attempt", durably=False, attempt=stamped)


def run_task(folder: RunFolder, submission: int, index: int, place: dict[str, Any]) -> int:
    """Runs a task and returns its exit code.

    Args:
        folder: of the run.
        submission: the number of the array.
        index: of the task in the array.
        place: `node`, `job`, `restart` and `submission`.

    Raises:
        DatasetInvalid, ConfigInvalid: this is no folder of a run that this BADC can work on.
    """
    if folder.is_shrunk:
        sys.stderr.write("the run is over; nothing to do\n")
        return 0
    array = place["job"].partition("_")[0]
    owner = folder.claim(submission, place["job"])
    if owner != array:
        sys.stderr.write(f"job {owner} does this work; nothing to do for job {array}\n")
        return 0
    number = folder.task_of(submission, index)
    start = f"{place['job']}.{place['restart']}"
    events = EventLog(folder.events(number, start), place)
    events.add("started", setup_s=events.setup_s)
    code = 0
    try:
        folder.require_own_version()
        _run_body(_left(folder, number, start), events)
    except _Stopped:
        code = STOPPED
    except BadcError as error:
        events.add("failed", error=_error(error))
        code = 1
    except Exception as error:  # noqa: BLE001  (the host must learn of any defect)
        events.add("failed", error=protocol.error_to_json(unexpected("", error)))
        code = 1
    events.add(
        "ended",
        code=code,
        audio_s=events.audio_s,
        analysing_s=events.analysing_s,
        **events.usage(),
    )
    return code


def _left(folder: RunFolder, number: int, start: str) -> StepInputs:
    """Returns the inputs of the recordings that no earlier start of the task has done well."""
    inputs = folder.read_task(number)
    done = {
        event["recording_id"]
        for path in folder.list_events()[number]
        for event in Tail(path).read()
        if event["kind"] == "outcome" and "error" not in event
    }
    done |= folder.list_released()
    folder.go_on_from_earlier_starts(number, start)
    left = tuple(one for one in inputs.recordings if one.recording_id not in done)
    return replace(inputs, recordings=left, work_folder=folder.work_folder(number, start))


def _run_body(inputs: StepInputs, events: EventLog) -> None:
    with closing(_body(inputs, events)) as outcomes:
        for outcome in outcomes:
            _write_outcome(inputs, outcome, events)
            outcome.commit()


def _body(inputs: StepInputs, events: EventLog) -> Generator[Outcome[Any], None, None]:
    if not STAGES[inputs.stage].runs_detector:
        return BODIES[inputs.stage](inputs)
    path = inputs.work_folder / "telemetry" / events.path.name
    return detect_recordings(inputs, _Telemetry(events, path))


def _write_outcome(inputs: StepInputs, outcome: Outcome[Any], events: EventLog) -> None:
    """Writes down an outcome, with the sizes and sums of its files as this node sees them."""
    if outcome.error is not None:
        content = {"error": _error(outcome.error), **events.usage()}
        events.add("outcome", recording_id=outcome.recording_id, **content)
        return
    outputs = {
        str(path): [path.stat().st_size, sha256_file(path)]
        for path in STAGES[inputs.stage].outputs(inputs.dataset, outcome.recording_id)
    }
    content = {"value": pack_value(outcome.value), "outputs": outputs, **events.usage()}
    events.add("outcome", recording_id=outcome.recording_id, **content)


def _error(error: BadcError) -> dict[str, str]:
    return protocol.error_to_json(memory.explain_kill(error, memory.given_mib()))


_signals: list[int] = []


def _stop(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    # Once is enough: what follows closes files and ends workers.
    if not _signals:
        _signals.append(signal_number)
        raise _Stopped


def main() -> None:
    """Runs the task that Slurm's variables name; arguments: folder and number of submission."""
    for one in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(one, _stop)
    folder, submission = sys.argv[1:]
    index = int(os.environ["SLURM_ARRAY_TASK_ID"])
    place = {
        "node": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "job": f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}",
        "restart": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        "submission": int(submission),
    }
    try:
        code = run_task(RunFolder(Path(folder).absolute()), int(submission), index, place)
    except BadcError as error:
        sys.exit(f"badc: {error}")
    except _Stopped:
        code = STOPPED
    sys.exit(code)


if __name__ == "__main__":
    main()
