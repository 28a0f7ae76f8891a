"""Jobs whose steps say in a trace what they hold, and go on when they are told to.

Run by real run workers: `dagster job execute -f steps.py`. The trace is a file of JSON lines.
"""

import json
import multiprocessing.util
import os
import signal
import sys
import time
from pathlib import Path

import dagster as dg

from badc_core.devices.current_lease import current_lease
from badc_dagster.executor import gpu_executor

AGAIN = dg.RetryPolicy(max_retries=1)
ONE = {"badc/devices": "1"}


class Conduct(dg.Config):
    """What a step does.

    `go` is a file it waits for, at most `at_most_s`; `n_facts` events are logged afterwards.
    """

    go: str = ""
    at_most_s: float = 60.0
    n_facts: int = 0
    fails_once: bool = False
    lingers_s: float = 0.0
    dies_after_success: bool = False


def tell(context: dg.OpExecutionContext, kind: str) -> None:
    """Adds a line to the trace: one write, so that lines of several processes do not mix."""
    held, parent = current_lease(), multiprocessing.parent_process()
    line = {
        "kind": kind,
        "run": context.run_id,
        "step": context.get_step_execution_context().step.key,
        "attempt": context.retry_number,
        "slots": [] if held is None else list(held.slots),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "pid": os.getpid(),
        "worker": 0 if parent is None else parent.pid,
        "at_s": time.monotonic(),
    }
    with Path(os.environ["BADC_TEST_TRACE"]).open("a", encoding="utf-8") as trace:
        trace.write(json.dumps(line) + "\n")


def conduct(context: dg.OpExecutionContext, config: Conduct) -> None:
    """Does what a step is configured to do, and tells when it begins and ends."""
    tell(context, "start")
    if config.lingers_s:
        multiprocessing.util.Finalize(None, linger, (context, config.lingers_s), exitpriority=1)
    if config.dies_after_success:
        sys.modules["dagster._core.executor.child_process_executor"].ChildProcessDoneEvent = die
    try:
        end_s = time.monotonic() + config.at_most_s
        while config.go and not Path(config.go).exists() and time.monotonic() < end_s:
            time.sleep(0.02)
        for number in range(config.n_facts):
            context.log_event(dg.AssetObservation("fact", metadata={"words": f"{number} " * 200}))
        print(f"printed by {context.op.name}")
        if config.fails_once and context.retry_number == 0:
            raise dg.Failure("as configured")
    finally:
        tell(context, "end")


def linger(context: dg.OpExecutionContext, how_long_s: float) -> None:
    """Keeps a process whose step is over."""
    time.sleep(how_long_s)
    tell(context, "gone")


def die(**_) -> None:
    """Kills a process that has sent the last event of its step, before it says that it ends."""
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def op(name: str, tags: dict[str, str] | None = None, **named):
    """Returns an op that does as its configuration says."""

    @dg.op(name=name, tags=tags or {}, **named)
    def one(context: dg.OpExecutionContext, config: Conduct) -> None:
        conduct(context, config)

    return one


leasing = [op(f"leased_{number}", ONE, retry_policy=AGAIN) for number in range(4)]
free = [op(f"free_{number}") for number in range(2)]
ranked = [op(f"rank_{number}", {**ONE, "dagster/priority": str(number)}) for number in range(3)]
tagged = [op(f"tagged_{number}", {**ONE, "team": "birds"}) for number in range(2)]
pooled = op("pooled", ONE, pool="gate")
greedy = op("greedy", {"badc/devices": "9"})
hazy = op("hazy", {"badc/devices": "some"})


@dg.resource
def never_there(_) -> None:
    raise RuntimeError("this resource is never there")


needy = op("needy", ONE, required_resource_keys={"missing"}, retry_policy=AGAIN)


@dg.op(out=dg.DynamicOut(int))
def deal():
    for number in range(3):
        yield dg.DynamicOutput(number, mapping_key=str(number))


@dg.op(tags=ONE)
def dealt(context: dg.OpExecutionContext, number: int) -> None:
    conduct(context, Conduct())


@dg.op(tags=ONE)
def first(context: dg.OpExecutionContext) -> int:
    conduct(context, Conduct())
    return 1


@dg.op(tags=ONE)
def second(context: dg.OpExecutionContext, number: int) -> None:
    conduct(context, Conduct())
    if not os.environ.get("BADC_TEST_WELL"):
        raise dg.Failure("not well", allow_retries=False)


def job(name: str, *ops, **named) -> dg.JobDefinition:
    """Returns a job of steps that do not depend on each other."""

    return dg.GraphDefinition(name=name, node_defs=list(ops)).to_job(
        executor_def=gpu_executor, **named
    )


@dg.job(executor_def=gpu_executor)
def dealing():
    deal().map(dealt)


@dg.job(executor_def=gpu_executor)
def chain():
    second(first())


defs = dg.Definitions(
    jobs=[
        job("one", leasing[0]),
        job("four", *leasing),
        job("two", *leasing[:2]),
        job("mixed", leasing[0], *free),
        job("ranking", *ranked),
        job("limited", *tagged, leasing[0]),
        job("gated", pooled),
        job("too_much", greedy, leasing[0]),
        job("unclear", hazy),
        job("lacking", needy, resource_defs={"missing": never_there}),
        job("free", *free),
        dealing,
        chain,
    ]
)
