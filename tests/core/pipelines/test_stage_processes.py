"""Stages as processes: their time limit, what they leave behind, their environment and device."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.pipeline_lab import stage
from support.waiting import wait_until

from badc_core.devices.current_lease import CurrentLease
from badc_core.devices.lease_files import lease_folder
from badc_core.errors import JobBusy, StageBusy
from badc_core.jobs import PipelineManifest
from badc_core.jobs.archive import archive_job, archive_path
from badc_core.jobs.environment import with_values
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.places import JobPlaces
from badc_core.locks import is_locked
from badc_core.pipelines import log_masking
from badc_core.pipelines.log_masking import masking
from badc_core.pipelines.processes import end_processes
from badc_core.pipelines.resuming import pipeline_of
from badc_core.secret_values import Secrets

HANGING = """\
(trap '' TERM; sleep 60) &
(setsid sh -c 'trap "" TERM; echo x > deep; sleep 60' &)
trap 'echo bye > bye; exit 0' TERM
sleep 60 & wait
"""


def test_a_time_limit_ends_every_process_of_a_stage_which_may_clean_up(lab, monkeypatch) -> None:
    monkeypatch.setattr(end_processes, "__defaults__", (None, 0.5))
    end = lab.run(stage("hang", HANGING, "timeout_s = 2"))
    assert (lab.folder / "deep").exists()
    assert (lab.folder / "bye").exists()
    assert lab.processes() == []
    assert end.has_failed
    assert lab.record("hang")["status"] == "failed"
    assert "it was not done after 2 s, and was ended" in lab.record("hang")["error"]
    assert lab.manifest["pipeline"]["status"] == "failed"


def test_what_a_finished_stage_leaves_running_is_ended(lab) -> None:
    lab.run(stage("daemon", "setsid sleep 60 & echo done", ""))
    assert lab.processes() == []
    assert lab.record("daemon")["status"] == "success"
    assert lab.record("daemon")["warnings"] == ["it left processes running, which were ended"]


def test_a_failed_stage_is_tried_again_and_every_attempt_is_recorded(lab) -> None:
    script = "echo try >> ../tries; echo nearly; test $(wc -l < ../tries) = 3"
    end = lab.run(stage("flaky", script, "retries = 5"))
    record = lab.record("flaky")
    assert (end.status, end.stages["flaky"].n_attempts) == ("completed", 3)
    assert (record["status"], record["attempt"]) == ("success", 3)
    assert [one.partition(". See")[0] for one in record["warnings"]] == [
        "attempt failed: exit code 1: nearly"
    ] * 2
    assert (lab.job.log_dir / "flaky.log").read_text() == "nearly\n" * 3


def test_what_a_stage_declares_and_does_not_write_is_a_failure(lab) -> None:
    (lab.folder / "b").write_text("of an earlier attempt")
    end = lab.run(stage("lazy", "touch a", 'outputs = ["a", "b"]'))
    assert end.has_failed
    assert "it exited normally but did not write b" in lab.record("lazy")["error"]


def test_a_program_that_is_not_there_is_not_tried_again(lab) -> None:
    text = '[[stage]]\nname = "x"\ncommand = ["no-such-program"]\nretries = 3\n'
    end = lab.run(text)
    assert end.stages["x"].n_attempts == 1
    assert "no-such-program: there is no such program" in lab.record("x")["error"]
    end = lab.run(text.replace("no-such-program", "a\\u0000b"))
    assert "cannot be started (embedded null byte)" in end.stages["x"].reason


def test_a_stage_gets_names_as_they_are_and_no_secrets(lab, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abc")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    script = 'printf %s "$1" > name; env > env; grep -c HF_TOKEN "$CONFIG_PATH" > secrets; cat "$1"'
    lab.run(stage("look", script, 'inputs = ["{input}"]\noutputs = ["name", "env", "secrets"]'))
    record = lab.record("look")
    assert record["status"] == "success", record
    assert (lab.folder / "name").read_text() == str(lab.input)
    assert (lab.folder / "secrets").read_text() == "1\n"
    environment = (lab.folder / "env").read_text()
    assert "HF_TOKEN" not in environment
    assert "SOMETHING_ELSE" not in environment
    assert f"PWD={lab.folder}\n" in environment
    assert not (lab.folder / "pwned").exists()
    assert (lab.job.log_dir / "look.log").read_text() == "chip\n"
    (read,) = record["input_files"]
    assert (read["path"], read["size_bytes"]) == (str(lab.input), 5)
    assert set(record["outputs"]) == {"name", "env", "secrets"}


def test_outputs_are_not_removed_through_links(lab, tmp_path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "a").write_text("dear")
    (lab.folder / "link").symlink_to(precious)
    end = lab.run(stage("x", "echo", 'outputs = ["link/a"]'))
    assert "a link leads out of the job's folder" in end.stages["x"].reason
    assert (precious / "a").read_text() == "dear"


def test_the_input_is_not_removed_where_an_output_has_its_place(lab) -> None:
    lab.input = lab.folder / "media" / "part.wav"
    lab.input.parent.mkdir()
    lab.input.write_text("chip")
    PipelineManifest(lab.folder / "manifest.json").set_input(lab.input)
    end = lab.run(stage("x", "echo", 'outputs = ["media"]'))
    assert "it is, or contains, the job's input" in end.stages["x"].reason
    assert lab.input.read_text() == "chip"


def test_processes_of_a_killed_runner_are_ended_with_it(lab) -> None:
    lab.write(stage("long", "(setsid sh -c 'touch began; sleep 60' &); sleep 60"))
    runner = lab.start()
    lab.wait_for("began")
    runner.kill()
    # What goes on with the job knows the pipeline even if it was killed in its first stage.
    assert pipeline_of(lab.folder).path == lab.root / "words.toml"
    runner.wait()
    wait_until(lambda: lab.processes() == [], 30)
    assert lab.record("long")["status"] == "running"


def test_secrets_that_stages_print_in_any_form_are_in_no_file(lab, monkeypatch) -> None:
    """However the pipeline ends, nothing that was planted is anywhere, also not in the archive."""
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"
    settings = {
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
        "HF_TOKEN": "hf_3f9ab77c21d0",
        "DB_PASSWORD": "say \"a 'b' $c\" twice",
        "UMLAUT_PASSWORD": "grüße-aus-köln",
        "DATABASE_URL": "postgres://me:pw-of-url-55@host/db",
        "DEPLOY": key,
    }
    base = with_values("", settings)
    (lab.root / "config" / ".env").write_text(base, encoding="utf-8")
    (lab.root / "config" / f".env.job_{lab.job.job_id}").write_text(base, encoding="utf-8")
    monkeypatch.setenv("LAKE_PASSWORD", "of-the-environment-77")
    show = (
        "import json, os, sys; from dotenv import dotenv_values\n"
        "values = dict(dotenv_values(os.environ['CONFIG_PATH']), more='of-the-environment-77')\n"
        "print(values, open(os.environ['CONFIG_PATH']).read(), *values.values())\n"
        "sys.stdout.flush(); print(json.dumps(values), file=sys.stderr)\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    (lab.root / "show.py").write_text(show)
    print_all = f"{sys.executable} {lab.root / 'show.py'}"
    lab.write(
        stage("opt", f"{print_all} 3", "optional = true")
        + stage(
            "long", f"{print_all} 0; echo; touch began; test -e ../go || sleep 60; {print_all} 4"
        )
    )
    runner = lab.start()
    lab.wait_for("began")
    wait_until(lambda: b"***" in (lab.job.log_dir / "long.log").read_bytes())
    runner.kill()
    runner.wait()
    wait_until(lambda: lab.processes() == [])
    (lab.folder.parent / "go").touch()
    assert lab.run((lab.root / "words.toml").read_text()).has_failed
    places = JobPlaces(lab.root)
    job = JobFinder(places).find(lab.folder.name)
    archive_job(places, job)
    (lab.root / "unpacked").mkdir()
    subprocess.run(["tar", "-xzf", archive_path(job), "-C", lab.root / "unpacked"], check=True)
    planted = [
        "wJalrXUtnFEMI",
        "hf_3f9ab77c21d0",
        "twice",
        "aus-k",
        "pw-of-url-55",
        "MIIEvQIBADANBgkq",
    ]
    planted += ["of-the-environment-77", "say "]
    for path in filter(lambda one: one.is_file(), lab.root.rglob("*")):
        if path.parent.name != "config" and path != lab.root / "show.py":
            content = path.read_bytes()
            assert [one for one in planted if one.encode() in content] == [], path
    assert "exit code 4: " in lab.record("long")["error"]


@pytest.mark.parametrize("has_guard", [True, False])
def test_a_job_is_not_archived_while_a_process_of_a_killed_runner_lives(
    lab, monkeypatch, has_guard
) -> None:
    """At a random moment after the runner was killed, nothing is lost and nothing moves."""
    monkeypatch.setattr("badc_core.jobs.job_states._SILENT_S", 0.0)
    places = JobPlaces(lab.root)
    job = JobFinder(places).find(lab.folder.name)
    # It prints while it ends, which only the guard lets it do.
    late = "touch late; sleep 2; echo late >> late; exit"
    late = f"echo going; {late}" if has_guard else late
    script = f"trap '{late}' TERM; touch began; while test ! -e go; do sleep 0.01; done; {late}"
    lab.write(stage("long", script))
    runner = lab.start()
    lab.wait_for("began")
    time.sleep(random.random() / 10)
    if not has_guard:
        os.kill(wait_until(lambda: _guard_of(runner.pid)), signal.SIGKILL)
    runner.kill()
    runner.wait()
    if not has_guard:
        (lab.folder / "go").touch()
    with pytest.raises(JobBusy, match="being worked on by another process"):
        archive_job(places, job, remove=True)
    while True:
        try:
            archive_job(places, job, remove=True)
        except JobBusy:
            time.sleep(random.random() / 20)
        else:
            break
    assert lab.processes() == []
    subprocess.run(["tar", "-xzf", archive_path(job), "-C", lab.root], check=True)
    assert (lab.folder / "late").read_text() == "late\n"


def test_processes_of_a_killed_runner_are_ended_before_the_stage_runs_again(lab) -> None:
    script = "echo $$ >> ../pids; test -e ../second && exit 0; touch ../second; setsid sleep 60"
    lab.write(stage("long", script))
    runner = lab.start()
    lab.wait_for("../second")
    os.kill(wait_until(lambda: _guard_of(runner.pid)), signal.SIGKILL)
    runner.kill()
    runner.wait()
    assert lab.processes() != []
    assert lab.record("long")["status"] == "running"
    end = lab.run((lab.root / "words.toml").read_text())
    assert end.status == "completed"
    assert lab.record("long")["warnings"] == [
        "processes of a killed attempt were still running, and were ended"
    ]


def test_a_stage_that_another_process_runs_is_left_to_it(lab) -> None:
    lab.write(stage("long", "touch began; while test ! -e ../go; do sleep 0.05; done"))
    runner = lab.start()
    lab.wait_for("began")
    with pytest.raises(StageBusy, match="another process runs the stage long"):
        lab.run((lab.root / "words.toml").read_text())
    (lab.root / "go").touch()
    (lab.folder.parent / "go").touch()
    assert runner.wait() == 0
    assert lab.manifest["pipeline"]["status"] == "completed"


def test_a_terminated_pipeline_is_saved_as_failed_and_nothing_is_left(lab) -> None:
    first = stage("first", "echo 1 > a", 'outputs = ["a"]')
    script = "touch began; setsid sleep 60 & sleep 60"
    lab.write(first + stage("second", script, 'inputs = ["a"]\noptional = true\nretries = 3'))
    runner = lab.start()
    lab.wait_for("began")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait() == 143
    assert lab.processes() == []
    assert lab.record("second")["status"] == "failed"
    assert "SIGTERM" in lab.record("second")["error"]
    assert lab.manifest["pipeline"]["status"] == "failed"
    assert lab.manifest["pipeline"]["completed_stages"] == ["first"]


@pytest.mark.parametrize("is_ignored", [False, True])
def test_a_closed_terminal_ends_a_pipeline_and_its_stages_unless_by_nohup(lab, is_ignored) -> None:
    lab.write(
        stage("long", "touch began; setsid sleep 60 & while test ! -e go; do sleep 0.05; done")
    )
    ours, terminal = os.openpty()
    runner = lab.start(terminal, is_ignored=is_ignored)
    os.close(terminal)
    lab.wait_for("began")
    os.close(ours)
    if is_ignored:
        time.sleep(0.2)
        (lab.folder / "go").touch()
    assert runner.wait(20) == (0 if is_ignored else 129)
    assert lab.processes() == []
    assert lab.record("long")["status"] == ("success" if is_ignored else "failed")
    assert lab.manifest["pipeline"]["status"] == ("completed" if is_ignored else "failed")


def test_only_stages_that_ask_see_a_device_and_they_have_it_alone(lab, monkeypatch) -> None:
    leases = lab.root / "leases"
    monkeypatch.setenv("BADC_LEASE_DIR", str(leases))
    folder = lease_folder()
    (leases / "devices.toml").write_text('[[device]]\nuuid = "odd-1"\n', encoding="utf-8")
    script = 'echo "$CUDA_VISIBLE_DEVICES" > {}; echo "$BADC_LEASE" > {}.lease'
    look = "touch began; while test ! -e go; do sleep 0.05; done"
    lab.write(
        stage("without", script.format("w", "w"), 'outputs = ["w"]')
        + stage("with", f"{script.format('d', 'd')}; {look}", 'device = true\nafter = ["without"]')
    )
    runner = lab.start()
    lab.wait_for("began")
    locked = [one.name for one in folder.glob("odd-1*") if is_locked(one)]
    (lab.folder / "go").touch()
    assert runner.wait() == 0
    assert locked != []
    assert [one for one in folder.glob("odd-1*") if is_locked(one)] == []
    assert (lab.folder / "w").read_text() == "\n"
    assert (lab.folder / "d").read_text() == "odd-1\n"
    assert json.loads((lab.folder / "d.lease").read_text())["devices"] == ["odd-1"]
    assert lab.record("with")["metadata"]["leased_devices"] == "odd-1 slot 0"
    assert "leased_devices" not in lab.record("without")["metadata"]


@pytest.mark.parametrize("is_step", [False, True])
def test_a_function_may_ask_for_a_device_when_it_knows_that_it_needs_one(
    lab, monkeypatch, is_step
) -> None:
    if is_step:  # of Dagster, without devices
        for name, value in CurrentLease().environment().items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("BADC_LEASE_DIR", str(lab.root / "leases"))
    lease_folder()
    (lab.root / "leases" / "devices.toml").write_text('[[device]]\nuuid = "odd-1"\n')
    (lab.root / "hearing.py").write_text(
        "import os\n"
        "from badc_core.pipelines import DeviceNeeded, StageReport\n"
        "def hear(call):\n"
        "    with open('seen', 'a') as seen:\n"
        "        print(repr(os.environ['CUDA_VISIBLE_DEVICES']), call.has_device, file=seen)\n"
        "    if not call.has_device:\n"
        "        raise DeviceNeeded\n"
        "    words = call.output_dir / 'words.txt'\n"
        "    words.write_text('chip')\n"
        "    return StageReport({'word_count': 1}, {'words': (words, 'What was heard')})\n"
    )
    end = lab.run('[[stage]]\nname = "hear"\npython = "hearing:hear"\noutputs = ["words.txt"]\n')
    assert (end.stages["hear"].status, end.stages["hear"].n_attempts) == ("success", 1)
    assert (lab.folder / "seen").read_text() == "'' False\n'odd-1' True\n"
    record = lab.record("hear")
    assert record["metadata"].items() >= {"word_count": 1, "leased_devices": "odd-1 slot 0"}.items()
    assert "device_needed" not in record["metadata"]
    assert "error" not in record
    assert [(key, one["description"]) for key, one in record["outputs"].items()] == [
        ("words", "What was heard")
    ]


def _guard_of(runner: int) -> int | None:
    """Returns the process that ends a runner's stage if the runner is killed."""
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    lines = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in children}
    return next((one for one, line in lines.items() if b"pipelines.guard" in line), None)


def test_a_process_that_nobody_finds_is_warned_of_and_prints_no_secret(
    tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(log_masking, "_LAST_WORDS_S", 0.05)
    path = tmp_path / "long.log"
    log = os.open(path, os.O_WRONLY | os.O_CREAT)
    with masking(log, Secrets({"LAKE_TOKEN": "zebra-17-secret"})) as (_, writable):
        kept_open = os.dup(writable)
    assert "cannot be found, and may still print" in caplog.text
    os.write(kept_open, b"with zebra-17-secret\n")
    os.close(kept_open)
    wait_until(lambda: path.read_bytes() == b"with ***\n", 10, 0.01)
    os.close(log)
