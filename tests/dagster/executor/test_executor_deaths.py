"""Leases when processes end: by themselves, by a signal, by kill -9, in any order."""

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from support.processes import is_alive
from support.waiting import wait_until

SUCCESS = dg.DagsterRunStatus.SUCCESS
FAILURE = dg.DagsterRunStatus.FAILURE

pytestmark = pytest.mark.slow


def holders_of(folder: Path) -> dict[str, set[int]]:
    """Returns slot file -> the processes of this user that have it open."""
    slots = {(one.stat().st_dev, one.stat().st_ino): one.name for one in folder.rglob("*.slot")}
    found: dict[str, set[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            status = entry.stat()
            if name := slots.get((status.st_dev, status.st_ino)):
                found.setdefault(name, set()).add(int(entry.parts[2]))
    return found


@pytest.mark.parametrize(
    "start_method", ["forkserver", pytest.param("spawn", marks=pytest.mark.soak)]
)
def test_only_the_run_worker_and_the_step_itself_have_a_lease_open(lab, lacking, start_method):
    if not Path("/proc/self/fd").exists():
        lacking("/proc, to see which process has which file open")
    ops = {"leased_0": lab.waits("go_0"), "leased_1": lab.waits("go_1")}
    run = lab.start("two", ops=ops, start_method=start_method)
    pids = {one["slots"][0].replace(" slot ", ".") + ".slot": one["pid"] for one in run.started(2)}
    expected = {name: {pid, run.process.pid} for name, pid in pids.items()}
    assert holders_of(lab.lease_dir) == expected
    lab.unlock("go_0")
    wait_until(lambda: len(lab.locked()) == 1)
    lab.unlock("go_1")
    assert run.finish() is SUCCESS


def test_a_killed_step_frees_its_device_at_once_and_is_tried_again(lab):
    run = lab.start("one", devices=["a"], ops={"leased_0": lab.waits()})
    [first] = run.started()
    guest = lab.start("one", devices=["a"])
    wait_until(lab.tickets)
    os.kill(first["pid"], signal.SIGKILL)
    killed_s = time.monotonic()
    taken = guest.started()[0]["at_s"]
    assert taken - killed_s < 60, "the guest was first in the queue"
    lab.unlock()
    assert (run.finish(), guest.finish()) == (SUCCESS, SUCCESS)
    assert [one["attempt"] for one in run.has_told("start")] == [0, 1]
    assert any("was terminated by signal 9" in one for one in run.messages("leased_0"))


def test_a_process_killed_after_its_step_was_done_changes_nothing(lab):
    run = lab.start("four", devices=["a"], ops={"leased_0": {"dies_after_success": True}})
    assert run.finish() is SUCCESS
    told = [(one["step"], one["kind"]) for one in run.trace]
    assert sorted(told) == [
        (f"leased_{number}", kind) for number in range(4) for kind in ("end", "start")
    ]
    assert (lab.locked(), lab.tickets()) == ([], [])


def test_a_killed_run_workers_step_keeps_its_device_until_it_ends_however_much_it_says(lab):
    run = lab.start("one", devices=["a"], ops={"leased_0": lab.waits(n_facts=300)})
    [step] = run.started()
    run.process.kill()
    run.process.wait()
    guest = lab.start("one", devices=["a"])
    wait_until(lab.tickets)
    time.sleep(1)
    assert not guest.has_told("start")
    assert is_alive(step["pid"])
    lab.unlock()
    assert guest.finish() is SUCCESS
    wait_until(lambda: not is_alive(step["pid"]), 20)
    [end] = run.has_told("end")
    assert end["at_s"] < guest.trace[0]["at_s"]
    assert (lab.locked(), lab.tickets()) == ([], [])
    assert any(one.is_step_success for one in run.events()), "the event log has what it did"


@pytest.mark.soak
def test_a_run_worker_killed_while_its_steps_wait_leaves_no_claim(lab):
    holder = lab.start("one", devices=["a"], ops={"leased_0": lab.waits()})
    holder.started()
    waiting = lab.start("one", devices=["a"])
    wait_until(lab.tickets)
    waiting.process.kill()
    waiting.process.wait()
    lab.unlock()
    assert holder.finish() is SUCCESS
    assert lab.start("one", devices=["a"]).finish() is SUCCESS
    assert (lab.locked(), lab.tickets()) == ([], [])


def test_a_run_whose_steps_all_wait_ends_soon_when_told_to_and_leaves_no_ticket(lab):
    holder = lab.start("one", devices=["a"], ops={"leased_0": lab.waits()})
    holder.started()
    waiting = lab.start("four", devices=["a"])
    wait_until(lambda: waiting.messages("leased_0"))
    asked_s = time.monotonic()
    waiting.process.send_signal(signal.SIGINT)
    wait_until(lambda: not lab.tickets())
    assert waiting.finish() is FAILURE
    assert time.monotonic() - asked_s < 40  # the device is not free before 60
    assert waiting.trace == []
    lab.unlock()
    assert holder.finish() is SUCCESS


def test_an_interrupted_run_starts_nothing_more_and_gives_all_back(lab):
    run = lab.start("four", ops={f"leased_{number}": lab.waits() for number in range(4)})
    run.started(2)
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() is FAILURE
    assert len(run.has_told("start")) == len(run.has_told("end")) == 2
    assert (lab.locked(), lab.tickets()) == ([], [])


@pytest.mark.soak
def test_a_step_tried_again_does_not_begin_before_its_earlier_process_is_gone(lab):
    ops = {"leased_0": {"fails_once": True, "lingers_s": 1.5}}
    run = lab.start("one", ops=ops)
    assert run.finish() is SUCCESS
    told = [(one["kind"], one["attempt"]) for one in run.trace]
    assert told[:4] == [("start", 0), ("end", 0), ("gone", 0), ("start", 1)]


@pytest.mark.soak
def test_a_resource_that_fails_gives_the_device_back_and_fails_the_step(lab):
    run = lab.start("lacking")
    assert run.finish() is FAILURE
    leased = [one for one in run.messages("needy") if " has leased " in one]
    assert len(leased) == 2, "there was a second try"
    assert "this resource is never there" in "".join(
        str(one.event_specific_data) for one in run.events() if one.step_key == "needy"
    )
    assert (lab.locked(), lab.tickets()) == ([], [])


@pytest.mark.soak
def test_a_lease_folder_lost_during_a_run_ends_it_with_one_sentence(lab):
    run = lab.start("four", devices=["a"], ops={"leased_0": lab.waits(), "leased_1": lab.waits()})
    run.started()
    shutil.rmtree(lab.lease_dir)
    lab.lease_dir.write_text("in the way", encoding="utf-8")
    assert run.finish() is FAILURE
    assert "the lease folder can no longer be used" in run.failure()
    assert "Repair it, then run again" in run.failure()
    wait_until(lambda: not any(is_alive(one["pid"]) for one in lab.trace), 30)
