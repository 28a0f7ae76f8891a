"""Whole pipelines: progress, optional stages, resuming by files, kills at any moment."""

import logging
import os
import random
import signal
import time

import pytest
from support.pipeline_lab import Lab, stage

from badc_core.pipelines.run import run_recorded

THREE = (
    stage("first", 'cat "$1" > a', 'inputs = ["{input}"]\noutputs = ["a"]')
    + stage("second", "cat a a > b/c", 'inputs = ["a"]\noutputs = ["b/c"]')
    + stage("third", "cat b/c > d; cat d", 'inputs = ["b"]\noutputs = ["d"]')
)
OUTPUTS = ("a", "b/c", "d")


def _attempts(lab: Lab) -> list[int]:
    return [lab.record(name)["attempt"] for name in ("first", "second", "third")]


def test_stages_run_in_order_and_say_how_far_they_are(lab) -> None:
    end = lab.run(THREE)
    assert (end.status, [one.status for one in end.stages.values()]) == (
        "completed",
        ["success"] * 3,
    )
    assert [one.partition(" after")[0] for one in lab.shown] == [
        "stage 1/3 first",
        "stage 1/3 first: done",
        "stage 2/3 second",
        "stage 2/3 second: done",
        "stage 3/3 third",
        "stage 3/3 third: done",
    ]
    assert (lab.folder / "d").read_text() == "chip\nchip\n"
    manifest = lab.manifest
    assert manifest["pipeline"]["completed_stages"] == ["first", "second", "third"]
    assert manifest["pipeline"]["status"] == "completed"
    assert manifest["input"]["file"] == str(lab.input)
    assert (lab.folder / "pipeline.toml").read_text() == THREE
    (log,) = lab.job.log_dir.glob("orchestrator_*.log")
    assert "INFO stage 3/3 third: done after" in log.read_text()
    assert (lab.job.log_dir / "third.log").read_text() == "chip\nchip\n"


def test_a_second_run_has_nothing_to_do(lab) -> None:
    lab.run(THREE)
    before = lab.stamps(*OUTPUTS)
    lab.shown.clear()
    end = lab.run(THREE)
    assert end.status == "completed"
    assert lab.shown[0].endswith("3 stages kept so far")
    assert lab.shown[1] == "stage 1/3 first: kept, its outputs are what it wrote"
    assert lab.stamps(*OUTPUTS) == before
    assert _attempts(lab) == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "reason", "attempts"),
    [
        ("rm a", "first: runs again, since {a} is gone", [2, 2, 2]),
        ("echo chat > b/c", "second: runs again, since {b/c} has another", [1, 2, 2]),
        ("echo x > d", "third: runs again, since {d} has another size", [1, 1, 2]),
    ],
)
def test_what_changed_is_made_again_and_what_depends_on_it(lab, change, reason, attempts) -> None:
    lab.run(THREE)
    lab.shown.clear()
    name = change.split()[-1]
    path = lab.folder / name
    path.unlink() if change.startswith("rm") else path.write_text(f"{change.split()[1]}\n")
    lab.run(THREE)
    wanted = reason.replace(f"{{{name}}}", str(path))
    assert any(wanted in one for one in lab.shown), lab.shown
    assert _attempts(lab) == attempts
    assert (lab.folder / "d").read_text() == "chip\nchip\n"


def test_a_changed_input_or_definition_is_a_reason_to_run_again(lab) -> None:
    lab.run(THREE)
    lab.input.write_text("chat\n")
    lab.run(THREE)
    assert _attempts(lab) == [2, 2, 2]
    assert (lab.folder / "d").read_text() == "chat\nchat\n"
    lab.run(THREE.replace("cat d", "cat d d"))
    assert _attempts(lab) == [2, 2, 3]


def test_a_changed_setting_is_a_reason_for_the_stages_that_read_it(lab) -> None:
    text = THREE.replace('name = "second"', 'name = "second"\nsettings = ["SPECIES", "HF_TOKEN"]')
    lab.run(text)
    config, log = lab.root / "config" / f".env.job_{lab.folder.name}", lab.job.backup
    assert not config.exists()  # the job was over; what is left has no secrets
    lab.run(text)
    assert _attempts(lab) == [1, 1, 1]
    log.write_text(log.read_text() + "LEVEL=7\n")
    lab.run(text)
    assert _attempts(lab) == [1, 1, 1]
    log.write_text(log.read_text() + "SPECIES=Ovenbird\n")
    lab.run(text)
    assert _attempts(lab) == [1, 2, 2]
    assert any("second: runs again, since the setting SPECIES has" in one for one in lab.shown)
    read = lab.record("second")["metadata"]["settings_read"]
    assert read == {"SPECIES": "Ovenbird", "HF_TOKEN": "***"}


def test_settings_named_like_secrets_and_the_jobs_own_copy_are_no_reason(lab) -> None:
    """Masked on both sides, and gone when the job was over."""
    lab.job.config.write_text("MAX_TOKENS=512\nAUTH=auto\nHF_TOKEN=hf_3f9ab77c21d0\n")
    (lab.root / "my_stages.py").write_text(
        "import os\nfrom pathlib import Path\nfrom badc_core.pipelines import StageReport\n"
        "def hear(call):\n"
        "    return StageReport({}, {}, {'config': Path(os.environ['CONFIG_PATH'])})\n"
    )
    names = 'settings = ["MAX_TOKENS", "AUTH", "HF_TOKEN"]\n'
    text = f'[[stage]]\nname = "hear"\npython = "my_stages:hear"\n{names}'
    script = "test -e ../go"
    assert lab.run(text + stage("last", script)).has_failed
    assert lab.run(text + stage("last", script)).stages["hear"].status == "kept"
    (lab.folder.parent / "go").touch()
    assert lab.run(text + stage("last", script)).status == "completed"
    assert not lab.job.config.exists()
    assert lab.run(text + stage("last", script)).stages["hear"].status == "kept"
    read = lab.record("hear")["metadata"]["settings_read"]
    assert read == dict.fromkeys(("MAX_TOKENS", "AUTH", "HF_TOKEN"), "***")


def test_a_file_that_only_a_function_knows_of_is_a_reason_to_call_it_again(lab) -> None:
    (lab.root / "my_stages.py").write_text(
        "from badc_core.pipelines import StageReport\n"
        "def hear(call):\n"
        "    return StageReport({}, {}, {'prompt': call.pipeline_dir / 'prompt.txt'})\n"
    )
    text = '[[stage]]\nname = "hear"\npython = "my_stages:hear"\n'
    prompt = lab.root / "prompt.txt"
    changes = (lambda: None, lambda: prompt.write_text("a"), lambda: None, prompt.unlink)
    lab.run(text)
    found = []
    for change in changes:
        change()
        found.append(lab.run(text).stages["hear"].status)
    assert found == ["kept", "success", "kept", "success"]


def test_an_input_with_another_time_is_compared_by_its_content(lab) -> None:
    """As `git annex get` gives it one."""
    text = stage("hear", 'cp "$1" heard', 'inputs = ["{input}"]\noutputs = ["heard"]')
    lab.run(text)
    os.utime(lab.input, (1, 1))
    assert lab.run(text).stages["hear"].status == "kept"
    lab.input.write_text("chop\n", encoding="utf-8")
    assert lab.run(text).stages["hear"].status == "success"
    assert (lab.folder / "heard").read_text() == "chop\n"


def test_a_folder_is_what_was_written_only_if_every_file_in_it_is(lab) -> None:
    text = stage("cut", "mkdir f f/g; echo 1 > f/a; echo 2 > f/g/b", 'outputs = ["f"]')
    lab.run(text)
    assert lab.run(text).stages["cut"].status == "kept"
    changes = (
        (lab.folder / "f" / "a").unlink,
        lambda: (lab.folder / "f" / "g" / "b").write_text("3\n"),
        (lab.folder / "f" / "c").touch,
    )
    for change in changes:
        change()
        assert lab.run(text).stages["cut"].status == "success"
        assert f"since {lab.folder / 'f'} has another content" in lab.shown[-3]
    assert lab.record("cut")["attempt"] == 4


def test_a_failed_stage_ends_the_pipeline_and_is_where_it_resumes(lab) -> None:
    end = lab.run(THREE.replace("cat a a", "echo no >&2; exit 3; cat a a"))
    assert end.has_failed
    assert list(end.stages) == ["first", "second"]
    assert "exit code 3: no. See " in end.stages["second"].reason
    assert lab.manifest["pipeline"]["failed_stages"] == ["second"]
    before = lab.stamps("a")
    assert lab.run(THREE).status == "completed"
    assert lab.stamps("a") == before
    assert _attempts(lab) == [1, 2, 1]
    assert lab.manifest["pipeline"]["failed_stages"] == []


def test_what_ran_again_alone_is_noticed_by_what_depends_on_it(lab) -> None:
    lab.run(THREE)
    pipeline = lab.write(THREE)
    run_recorded(pipeline, lab.job, pipeline.stage("second"), logging.getLogger("alone"))
    lab.shown.clear()
    assert lab.run(THREE).status == "completed"
    assert "stage 3/3 third: runs again, since second has run since" in lab.shown
    assert _attempts(lab) == [1, 2, 2]


OPTIONAL = (
    stage("names", "echo Ov > names; cp ../names names", 'outputs = ["names"]\noptional = true')
    + stage("spell", "cat names > s", 'inputs = ["names"]\noutputs = ["s"]\noptional = true')
    + stage("words", "cat names 2>&1 > w; true", 'optional_inputs = ["names"]\noutputs = ["w"]')
)


def test_an_optional_stage_that_fails_is_skipped_and_its_dependents_are_told(lab) -> None:
    end = lab.run(OPTIONAL)
    assert {name: one.status for name, one in end.stages.items()} == {
        "names": "skipped",
        "spell": "skipped",
        "words": "success",
    }
    assert "exit code 1" in end.stages["names"].reason
    why = "the input names is not there, since the stage names was skipped"
    assert why in end.stages["spell"].reason
    pipeline = lab.manifest["pipeline"]
    assert (pipeline["status"], pipeline["failed_stages"]) == ("completed", [])
    assert pipeline["skipped_stages"] == ["names", "spell"]
    assert "exit code 1" in lab.record("names")["error"]
    assert not (lab.folder / "names").exists()
    assert "Ov" not in (lab.folder / "w").read_text()


def test_a_skipped_stage_is_tried_again_and_others_only_if_it_succeeds(lab) -> None:
    lab.run(OPTIONAL)
    lab.run(OPTIONAL)
    assert [lab.record(one)["attempt"] for one in ("names", "spell", "words")] == [2, 2, 1]
    (lab.folder.parent / "names").write_text("Ovenbird\n")
    assert lab.run(OPTIONAL).status == "completed"
    assert [lab.record(one)["attempt"] for one in ("names", "spell", "words")] == [3, 3, 2]
    assert (lab.folder / "w").read_text() == "Ovenbird\n"


def test_a_needed_stage_that_lacks_the_output_of_a_skipped_one_fails(lab) -> None:
    # A stage may be skipped after one that writes at its output's path without declaring that.
    stray = stage("stray", "echo Ov > names", 'after = ["names"]')
    end = lab.run(OPTIONAL + stray + stage("last", "", 'inputs = ["names"]\nafter = ["stray"]'))
    assert end.has_failed
    assert "since the stage names was skipped" in end.stages["last"].reason


def test_a_needed_folder_lacks_what_a_skipped_stage_should_have_written_in_it(lab) -> None:
    text = stage("names", "cp ../names f/names", 'outputs = ["f/names"]\noptional = true')
    text += stage("sound", "echo chip > f/sound", 'outputs = ["f/sound"]')
    text += stage("words", "cat f/* > w", 'inputs = ["f"]\noutputs = ["w"]\noptional = true')
    end = lab.run(text)
    assert {name: one.status for name, one in end.stages.items()} == {
        "names": "skipped",
        "sound": "success",
        "words": "skipped",
    }
    why = "the input f is not complete, since the stage names was skipped"
    assert why in end.stages["words"].reason
    (lab.folder.parent / "names").write_text("Ovenbird\n")
    lab.run(text)
    assert (lab.folder / "w").read_text() == "Ovenbird\nchip\n"


def test_a_stage_may_be_a_python_function_beside_the_file(lab) -> None:
    (lab.root / "my_stages.py").write_text(
        "from badc_core.pipelines import StageSkipped\n"
        "def count(call):\n"
        "    words = call.inputs['{input}'].read_text().split()\n"
        "    call.outputs['n/words'].write_text('\\n'.join(words))\n"
        "    return {'word_count': len(words), 'definition': 'mine', 'skipped': call.skipped}\n"
        "def absent(call):\n"
        "    call.outputs['x'].write_text('half')\n"
        "    raise StageSkipped('the package x is not installed')\n"
        "def broken(call):\n"
        "    raise ValueError('odd hf_3f9ab77c21d0')\n"
    )
    text = (
        '[[stage]]\nname = "absent"\npython = "my_stages:absent"\noutputs = ["x"]\n'
        + stage("reads", "cp x y", 'inputs = ["x"]\noutputs = ["y"]')
        + stage("rereads", "cat y", 'inputs = ["y"]')
        + '[[stage]]\nname = "count"\npython = "my_stages:count"\ninputs = ["{input}"]\n'
        'outputs = ["n/words"]\nafter = ["absent"]\n'
        '[[stage]]\nname = "broken"\npython = "my_stages:broken"\nafter = ["count"]\n'
    )
    end = lab.run(text)
    assert end.stages["absent"].status == "skipped"
    assert end.stages["absent"].reason == "the package x is not installed"
    assert not (lab.folder / "x").exists()
    why = "the input x is not there, since the stage absent was skipped: the package x is not"
    assert end.stages["reads"].reason == f"{why} installed"
    assert [end.stages[one].status for one in ("reads", "rereads")] == ["skipped"] * 2
    record = lab.record("count")
    assert (record["status"], record["attempt"]) == ("success", 1)
    assert record["metadata"]["word_count"] == 1
    assert record["metadata"]["skipped"] == ["absent", "reads", "rereads"]
    assert record["metadata"]["definition"] != "mine"
    assert end.stages["broken"].reason.startswith("ValueError: odd ***. See ")
    assert "hf_3f9ab77c21d0" not in "".join(lab.shown) + str(lab.manifest)
    assert lab.run(text).stages["count"].status == "kept"


def _starts(lab: Lab) -> list[str]:
    """Returns when each stage was last started."""
    return [one["started_at"] for one in lab.manifest.get("stages", {}).values()]


def _kill_again_and_again(lab: Lab, n_kills: int) -> list[str]:
    """Kills a pipeline at random moments, after each of which an output may vanish too.

    Returns:
        the status of the pipeline's stages after every kill.
    """
    slow = THREE.replace("cat a a", "sleep 0.3; cat a a").replace("cat b/c", "sleep 0.3; cat b/c")
    lab.write(slow)
    dice = random.Random(n_kills)
    found = []
    for _ in range(n_kills):
        before = _starts(lab)
        runner = lab.start()
        # How long it takes to the first stage depends on the machine; one in four has none yet.
        waits = dice.random() < 0.75
        while waits and runner.poll() is None and _starts(lab) == before:
            time.sleep(0.05)
        time.sleep(dice.uniform(0.0, 1.0))
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        found += [one["status"] for one in lab.manifest.get("stages", {}).values()]
        (lab.folder / dice.choice([*OUTPUTS, "none"])).unlink(missing_ok=True)
    assert lab.run(slow).status == "completed"
    assert (lab.folder / "d").read_text() == "chip\nchip\n"
    assert lab.manifest["pipeline"]["completed_stages"] == ["first", "second", "third"]
    assert {one.status for one in lab.run(slow).stages.values()} == {"kept"}
    return found


def test_a_killed_pipeline_is_resumed_with_what_is_whole(lab) -> None:
    _kill_again_and_again(lab, 2)


@pytest.mark.soak
def test_a_pipeline_killed_again_and_again_ends_whole(lab) -> None:
    assert {"running", "success"} <= {*_kill_again_and_again(lab, 40)}


def test_a_stage_that_reads_the_settings_is_kept_after_they_were_removed(lab) -> None:
    """What is left of them at the end has no secrets; a change in it still counts."""
    lab.job.config.write_text("HF_TOKEN=hf_3f9ab77c21d0\nSPOKEN=en\n")
    script = 'grep -c hf_3f9 "$CONFIG_PATH" > n'
    read = stage("read", script, 'inputs = ["{config}"]\noutputs = ["n"]')
    assert lab.run(read).status == "completed"
    assert not lab.job.config.exists()
    lab.run(read)
    assert lab.record("read")["attempt"] == 1, "nothing has changed"
    lab.job.backup.write_text(lab.job.backup.read_text().replace("=en", "=de"))
    lab.run(read)
    assert lab.record("read")["attempt"] == 2
