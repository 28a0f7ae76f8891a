"""A job of three steps that each ask for a device, and write in a trace what they hold and when.

What the steps of a run do is in the run's tags, since all runs are of one job. It is loaded by a
web server and by the processes of runs and steps, never by a test.
"""

import json
import multiprocessing
import os
import time
from pathlib import Path

import dagster as dg

from badc_core.devices.current_lease import current_lease
from badc_dagster.executor import gpu_executor

N_STEPS = 3


def tell(context: dg.OpExecutionContext, kind: str) -> None:
    """Adds a line to the trace: one write, so that lines of several processes do not mix."""
    held, worker = current_lease(), multiprocessing.parent_process()
    line = {
        "kind": kind,
        "run": context.run_id,
        "step": context.op.name,
        "attempt": context.retry_number,
        "pid": os.getpid(),
        "worker": 0 if worker is None else worker.pid,
        "slots": [] if held is None else list(held.slots),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "at_s": time.monotonic(),
    }
    with Path(os.environ["BADC_TEST_TRACE"]).open("a", encoding="utf-8") as trace:
        trace.write(json.dumps(line) + "\n")


def make(number: int) -> dg.OpDefinition:
    """Returns a step that holds its device for a while."""

    @dg.op(
        name=f"step_{number}",
        tags={"badc/devices": "1"},
        retry_policy=dg.RetryPolicy(max_retries=2),
    )
    def step(context: dg.OpExecutionContext) -> None:
        tell(context, "start")
        outcome = "broken off"
        try:
            while not Path(os.environ["BADC_TEST_GATE"]).exists():
                time.sleep(0.05)
            time.sleep(float(context.run.tags["seconds"].split()[number]))
            if context.run.tags.get("fails_once") == str(number) and context.retry_number == 0:
                raise dg.Failure("as the run's tags say")
            outcome = "done"
        finally:
            tell(context, outcome)

    return step


sharing = dg.GraphDefinition(
    name="sharing", node_defs=[make(number) for number in range(N_STEPS)]
).to_job(executor_def=gpu_executor)

defs = dg.Definitions(jobs=[sharing])
