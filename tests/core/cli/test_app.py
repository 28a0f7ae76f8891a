"""The command line as a whole: help, version, completion, JSON, old commands, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest
from support.commands import BADC, run_typed
from support.sounds import write_tone

from badc_core.cli.main import main
from badc_core.errors import DatasetInvalid


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tone(tmp_path / "marsh" / "audio" / "S1" / "a.wav", 5.0)
    return tmp_path / "marsh"


def test_help_lists_everyday_commands_first_and_version_last(app):
    lines = run_typed(app, "--help").output.partition("Commands:")[2].split("\n")
    names = [line.split()[0] for line in lines if line.strip()]
    everyday = [one for one in ("scan", "run", "status", "report") if one in names]
    assert names[: len(everyday)] == everyday
    assert names[-1] == "version"


@pytest.mark.parametrize("words", [["--version"], ["version"]])
def test_the_version_is_printed(app, words):
    assert run_typed(app, *words).output == f"badc {version('badc')}\n"


def test_completion_can_be_installed_and_completes_commands(app):
    assert "--install-completion" in run_typed(app, "--help").output
    environment = {**os.environ, "_BADC_COMPLETE": "complete_bash"}
    words = {"COMP_WORDS": "badc rep", "COMP_CWORD": "1"}
    done = subprocess.run(
        [BADC], env={**environment, **words}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["report"]


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("pipeline run DATASET --no-bundle", "badc run keeps this up to date"),
        ("pipeline run d --chunk-pattern=x.wav", "set recordings.extensions"),
        ("slurm resubmit DATASET", "badc run --slurm DATASET again"),
    ],
)
def test_an_old_command_says_in_one_line_what_to_use_instead(app, typed, instead):
    done = run_typed(app, *typed.split(), code=2)
    assert len(done.stderr.splitlines()) == 1
    assert instead in done.stderr
    assert done.stdout == ""


def test_a_dataset_is_reported_on_under_any_name_but_a_commands(app, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("summary", "-r"):
        write_tone(tmp_path / name / "audio" / "a.wav", 1.0)
    with pytest.raises(DatasetInvalid, match=r"no corpus yet\. Run: badc run"):
        run_typed(app, "report", "./summary", "--limit", 3)
    with pytest.raises(DatasetInvalid, match="no corpus yet"):
        run_typed(app, "report", "--limit", 3, "--", "-r")
    refused = run_typed(app, "report", "summary", code=2).stderr
    assert "Invalid value for DATASET: name a dataset, or a file with --parquet" in refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("species", "55,0", "10"), "must be a number, not '55,0'"),
        (("job", "list", "--day", "2026-13-01"), "'2026-13-01' is not a date such as 2024-05-31"),
        (("run", "--limit", "x"), "must be a whole number, not 'x'"),
    ],
)
def test_what_cannot_be_used_is_shown_as_it_was_typed(app, words, said):
    assert said in run_typed(app, *words, code=2).stderr


def test_an_option_is_not_taken_for_an_old_one_behind_two_dashes(app, tmp_path):
    with pytest.raises(Exception, match="no such file"):
        run_typed(app, "infer", "run", "--", "--manifest")


def test_results_are_json_where_that_is_asked_for(app, dataset):
    audio = dataset / "audio" / "S1" / "a.wav"
    chunks = json.loads(run_typed(app, "chunk", "split", audio, "--json").stdout)
    assert [(one["start_ms"], one["end_ms"]) for one in chunks] == [(0, 5000)]
    plan = run_typed(app, "chunk", "orchestrate", dataset, "--json", "--overlap", 0).stdout
    assert [one["recording_id"] for one in json.loads(plan)] == ["a"]
    assert "devices" in json.loads(run_typed(app, "gpus", "--json").stdout)


def test_a_quiet_command_prints_nothing_and_does_its_work(app, dataset):
    done = run_typed(app, "chunk", "orchestrate", dataset, "--apply", "--quiet")
    assert done.output == ""
    statuses = json.loads(run_typed(app, "chunk", "status", dataset, "--json").stdout)
    assert [(one["recording_id"], one["status"]) for one in statuses] == [("a", "completed")]
    manifest = dataset / "manifests" / "a.csv"
    assert json.loads(run_typed(app, "chunk", "validate", manifest, "--json").stdout) == {
        "manifest": str(manifest),
        "problems": [],
    }


def test_json_is_printed_by_a_quiet_command_too(app, dataset):
    done = run_typed(app, "chunk", "orchestrate", dataset, "--json", "--quiet")
    assert [one["recording_id"] for one in json.loads(done.output)] == ["a"]


def hint(app, *words):
    with pytest.raises(DatasetInvalid) as caught:
        run_typed(app, *words)
    return caught.value.remedy


@pytest.mark.parametrize("typed", ["marsh/audio", "marsh/audio/S1", "marsh/audio/S1/a.wav"])
def test_a_path_inside_a_dataset_leads_to_the_dataset(app, dataset, typed):
    assert hint(app, "report", typed) == "Did you mean: badc report marsh"


def test_a_mistyped_name_leads_to_the_folder_beside_it(app, dataset):
    assert hint(app, "report", "mrsh") == "Did you mean: badc report marsh"
    assert "Did you mean" not in hint(app, "report", "elsewhere")


class Interrupting:
    """Sends this process Ctrl-C when the commands are imported."""

    def find_spec(self, name, _path, _target=None):
        if name == "badc_core.cli.app":
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_while_a_command_starts_prints_one_line(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "badc_core.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines() == [
        "Interrupted. What was finished is kept; run again to go on."
    ]
