"""What steps get, in which order, and what everybody is told of it."""

import json
import subprocess
import sys
import time

import dagster as dg
import pytest
from support.waiting import wait_until

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.leases import LeaseStore
from badc_dagster.executor.step_leases import StepLeases

SUCCESS = dg.DagsterRunStatus.SUCCESS
FAILURE = dg.DagsterRunStatus.FAILURE

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "start_method", ["forkserver", pytest.param("spawn", marks=pytest.mark.soak)]
)
def test_steps_see_their_device_only_others_none_and_all_is_in_the_logs(lab, start_method):
    run = lab.start("mixed", start_method=start_method)
    assert run.finish() is SUCCESS
    visible = {line["step"]: line["visible"] for line in run.trace}
    assert visible == {"leased_0": "a", "free_0": "", "free_1": ""}
    assert run.trace[0]["worker"] == run.process.pid
    assert any("has leased a slot 0" in message for message in run.messages("leased_0"))
    kinds = [one.event_type_value for one in run.events() if one.step_key == "leased_0"]
    assert kinds == [
        "ENGINE_EVENT",
        "STEP_WORKER_STARTING",
        "STEP_WORKER_STARTED",
        "RESOURCE_INIT_STARTED",
        "RESOURCE_INIT_SUCCESS",
        "STEP_START",
        "STEP_OUTPUT",
        "STEP_SUCCESS",
    ]
    captured = [
        one.logs_captured_data
        for one in run.events()
        if one.event_type is dg.DagsterEventType.LOGS_CAPTURED
    ]
    assert sorted(one.step_keys[0] for one in captured) == ["free_0", "free_1", "leased_0"]
    for one in captured:
        key = [run.record.run_id, "compute_logs", one.file_key]
        printed = lab.instance.compute_log_manager.get_log_data(key).stdout
        assert f"printed by {one.step_keys[0]}".encode() in printed
    assert lab.locked() == []
    assert lab.tickets() == []


def test_a_waiting_step_says_so_takes_no_place_and_begins_when_the_device_is_free(lab):
    holder = lab.start("two", ops={"leased_0": lab.waits(), "leased_1": lab.waits()})
    holder.started(2)
    run = lab.start("mixed", max_concurrent=1)
    wait_until(lambda: {one["step"] for one in run.has_told("end")} == {"free_0", "free_1"})
    [reason] = wait_until(lambda: [one for one in run.messages("leased_0") if "waiting for" in one])
    assert "a slot 0 is leased by step leased_" in reason
    assert f"of run {holder.record.run_id[:8]}" in reason
    assert any(f"pid {line['pid']}," in reason for line in holder.trace)
    assert len(lab.tickets()) == 1
    time.sleep(0.6)
    lab.unlock()
    assert (holder.finish(), run.finish()) == (SUCCESS, SUCCESS)
    [told] = [one for one in run.messages("leased_0") if " has leased " in one]
    assert float(told.split(" waiting for ")[1].split()[0]) > 0.5
    assert (lab.locked(), lab.tickets()) == ([], [])


def test_runs_take_turns_however_many_steps_each_has(lab):
    crowd = lab.start(
        "four", ops={f"leased_{n}": lab.waits(f"go_{n}") for n in range(4)}, devices=["a"]
    )
    first = crowd.started()[0]["step"]
    wait_until(lambda: len(lab.tickets()) == 1)
    guest = lab.start("one", ops={"leased_0": lab.waits("guest")}, devices=["a"])
    wait_until(lambda: len(lab.tickets()) == 2)
    lab.unlock(f"go_{first.removeprefix('leased_')}")
    second = crowd.started(2)[1]["step"]
    wait_until(lambda: len(lab.tickets()) == 2)
    lab.unlock(f"go_{second.removeprefix('leased_')}")
    guest.started()
    assert len(crowd.has_told("start")) == 2
    for name in ("guest", "go_0", "go_1", "go_2", "go_3"):
        lab.unlock(name)
    assert (crowd.finish(), guest.finish()) == (SUCCESS, SUCCESS)


@pytest.mark.soak
def test_steps_of_higher_priority_come_first(lab):
    holder = lab.start("one", ops={"leased_0": lab.waits()}, devices=["a"])
    holder.started()
    run = lab.start("ranking", devices=["a"])
    wait_until(lab.tickets)
    lab.unlock()
    assert (holder.finish(), run.finish()) == (SUCCESS, SUCCESS)
    assert [one["step"] for one in run.has_told("start")] == ["rank_2", "rank_1", "rank_0"]


@pytest.mark.soak
def test_no_more_steps_run_than_max_concurrent_says(lab):
    run = lab.start("four", slots_per_device=2, max_concurrent=2, ops={"leased_0": lab.waits()})
    wait_until(lambda: len(run.has_told("end")) == 3)
    lab.unlock()
    assert run.finish() is SUCCESS
    n_running = peak = 0
    for line in run.trace:
        n_running += 1 if line["kind"] == "start" else -1
        peak = max(peak, n_running)
    assert peak == 2


@pytest.mark.soak
def test_a_step_that_a_tag_limit_keeps_waiting_holds_no_device(lab):
    limit = [{"key": "team", "value": "birds", "limit": 1}]
    ops = {"tagged_0": lab.waits(), "tagged_1": lab.waits(), "leased_0": lab.waits("other")}
    run = lab.start("limited", ops=ops, tag_concurrency_limits=limit)
    assert {one["step"][:6] for one in run.started(2)} == {"tagged", "leased"}
    assert lab.tickets() == []
    lab.unlock("other")
    wait_until(lambda: len(run.has_told("end")) == 1)
    guest = lab.start("one")
    assert guest.finish() is SUCCESS, "the device that the tag's limit leaves unused is free"
    lab.unlock()
    assert run.finish() is SUCCESS


@pytest.mark.soak
def test_a_step_that_waits_for_a_pool_holds_no_device_and_leaves_the_pool_afterwards(lab):
    pools = lab.instance.event_log_storage
    pools.set_concurrency_slots("gate", 1)
    holder = lab.start("gated", ops={"pooled": lab.waits()})
    holder.started()
    blocked = lab.start("gated", ops={"pooled": lab.waits()})
    wait_until(lambda: any("limit for pool gate" in one for one in blocked.messages("pooled")))
    assert (len(lab.locked()), lab.tickets()) == (1, [])
    lab.unlock()
    assert (holder.finish(), blocked.finish()) == (SUCCESS, SUCCESS)
    assert pools.get_concurrency_info("gate").active_slot_count == 0


def test_a_step_that_waits_for_a_device_gives_its_pool_back_when_its_run_is_ended(lab):
    pools = lab.instance.event_log_storage
    pools.set_concurrency_slots("gate", 1)
    holder = lab.start("one", ops={"leased_0": lab.waits()}, devices=["a"])
    holder.started()
    waiting = lab.start("gated", devices=["a"])
    wait_until(lambda: pools.get_concurrency_info("gate").active_slot_count)
    wait_until(lab.tickets)
    waiting.process.terminate()
    assert waiting.finish() is FAILURE
    assert pools.get_concurrency_info("gate").active_slot_count == 0
    lab.unlock()
    holder.finish()


@pytest.mark.soak
def test_steps_made_while_the_run_goes_on_get_devices_too(lab):
    run = lab.start("dealing")
    assert run.finish() is SUCCESS
    held = {line["step"]: line["slots"] for line in run.has_told("start")}
    assert sorted(held) == ["dealt[0]", "dealt[1]", "dealt[2]"]
    assert all(len(slots) == 1 for slots in held.values())


@pytest.mark.soak
def test_a_run_made_again_from_its_failure_leases_for_the_missing_steps_only(lab):
    run = lab.start("chain", well=False)
    assert run.finish() is FAILURE
    again = lab.start_again(run)
    assert again.finish() is SUCCESS
    told = [(line["kind"], line["step"], line["slots"]) for line in again.trace]
    assert told == [("start", "second", ["a slot 0"]), ("end", "second", ["a slot 0"])]


@pytest.mark.soak
def test_what_a_run_leaves_out_need_not_be_there(lab):
    run = lab.start("too_much", select=["leased_0"])
    assert run.finish() is SUCCESS


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("too_much", "step greedy: 9 GPUs needed, but only 2 of 9"),
        ("unclear", "step hazy: invalid device count 'some'"),
    ],
)
def test_a_wish_that_cannot_be_met_ends_the_run_with_one_sentence(lab, job, words):
    run = lab.start(job)
    assert run.finish() is FAILURE
    assert words in run.failure()
    assert lab.trace == []
    assert len([one for one in run.events() if one.is_failure]) == 1


@pytest.mark.soak
def test_a_run_without_wishes_needs_no_lease_folder(lab):
    lab.lease_dir.write_text("in the way", encoding="utf-8")
    assert lab.start("free").finish() is SUCCESS


def test_a_lease_folder_that_cannot_be_used_ends_the_run_with_one_sentence(lab):
    lab.lease_dir.write_text("in the way", encoding="utf-8")
    run = lab.start("one")
    assert run.finish() is FAILURE
    assert "cannot hold leases" in run.failure()


def test_devices_and_slots_may_come_from_the_machines_own_file(lab):
    lab.lease_dir.mkdir()
    declared = '[[device]]\nuuid = "GPU-declared"\nslots = 2\n'
    (lab.lease_dir / "devices.toml").write_text(declared, encoding="utf-8")
    run = lab.start(
        "two",
        devices=[],
        slots_per_device=None,
        ops={"leased_0": lab.waits(), "leased_1": lab.waits()},
    )
    started = run.started(2)
    assert {one["visible"] for one in started} == {"GPU-declared"}
    assert sorted(one["slots"][0] for one in started) == [
        "GPU-declared slot 0",
        "GPU-declared slot 1",
    ]
    lab.unlock()
    assert run.finish() is SUCCESS


def test_what_step_processes_are_forked_from_has_one_thread_and_no_heavy_module():
    code = (
        "import sys, json, threading, badc_dagster.executor.step_process as _\n"
        "print(json.dumps([threading.active_count(), sorted({'torch', 'numpy', 'pandas', 'duckdb',"
        "'ai_edge_litert'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [1, []]


def test_a_run_without_room_keeps_no_device_from_others(tmp_path):
    folder = lease_folder(tmp_path)
    store = LeaseStore(folder, [LeasableDevice("a", "a")])
    request = DeviceRequest()
    full, other = (StepLeases(store, folder, name) for name in ("full", "other"))
    holder = store.acquire(request, Holder("before"))
    assert not full.acquire("waiting", request)
    full.mark_idle()
    holder.release()
    assert other.acquire("step", request)
    other.close()
    time.sleep(0.3)
    full.begin_round()
    assert full.acquire("waiting", request)
    full.close()
