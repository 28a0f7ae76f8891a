"""Options that are settings: `--set`, the friendly flags, and run-config files mean the same."""

import pytest
from support.commands import run_typed
from typer import Typer

from badc_core.cli.options import taking_options
from badc_core.cli.run_config import read_run_config
from badc_core.cli.setting_options import SettingOptions
from badc_core.errors import ConfigInvalid, OptionInvalid
from badc_core.settings import load_settings


def settings(tmp_path, **options):
    return SettingOptions(**options).settings(tmp_path / "badc.toml")


def assigned(tmp_path, *assignments):
    return settings(tmp_path, assignments=assignments)


@pytest.mark.parametrize(
    ("flags", "assignment"),
    [
        ({"detector": "band_energy"}, "detector.name=band_energy"),
        ({"min_score": 0.4}, "detector.min_score=0.4"),
        ({"max_gpus": 1}, "inference.max_gpus = 1"),
        ({"workers_per_gpu": 2}, "inference.workers_per_gpu=2"),
        ({"cpu_workers": 3}, "inference.cpu_workers=3"),
        ({"max_retries": 0}, "inference.max_retries=0"),
        ({"record_datalad": True}, "datalad.record=require"),
        ({"record_datalad": False}, "datalad.record=off"),
        ({"stub_runner": True}, "detector.name=stub"),
        ({"max_failed_fraction": 0.5}, "inference.max_failed_fraction=0.5"),
    ],
)
def test_a_flag_is_another_name_of_a_setting(tmp_path, flags, assignment):
    changed = settings(tmp_path, **flags)
    assert changed == assigned(tmp_path, assignment)
    assert changed != settings(tmp_path)


def test_a_value_is_toml_and_a_bare_word_is_text(tmp_path):
    changed = assigned(
        tmp_path,
        'detector.exclude=["OVEN", "Rain"]',
        "detector.hawkears.low_band=true",
        "recordings.timezone=America/Edmonton",
        'detector.thresholds."Setophaga petechia"=0.6',
        "detector.runtime=/opt/a = b",
    )
    assert changed.detector.exclude == ("OVEN", "Rain")
    assert changed.detector.hawkears.low_band
    assert changed.recordings.timezone == "America/Edmonton"
    assert changed.detector.thresholds == {"Setophaga petechia": 0.6}
    assert changed.detector.runtime == "/opt/a = b"


def test_what_is_not_set_keeps_the_value_of_the_file(tmp_path):
    text = "[detector]\nmin_score = 0.3\n[detector.hawkears]\nmodels = 2\n"
    (tmp_path / "badc.toml").write_text(text, encoding="utf-8")
    changed = assigned(tmp_path, "detector.hawkears.region=CA-AB")
    assert changed.detector.hawkears.models == 2
    assert changed.detector.hawkears.region == "CA-AB"
    assert changed.detector.min_score == 0.3


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("slurm.time=02:00:00", "02:00:00"),
        ("slurm.time=1-00:00:00", "1-00:00:00"),
        ("slurm.time='02:00:00'", "02:00:00"),
        ("slurm.time=120", "120"),
        ("slurm.account=2024-06-01", "2024-06-01"),
        ("slurm.mem=8G", "8G"),
        ("slurm.mem= 8000 ", "8000"),
        ("slurm.account=true", "true"),
        ("slurm.account=1e3", "1e3"),
        ("slurm.account=inf", "inf"),
        ("slurm.gres=gpu:a100:2", "gpu:a100:2"),
        ("slurm.folder=/scratch/my lab/x", "/scratch/my lab/x"),
        ("slurm.folder=[runs]", "[runs]"),
        ("recordings.timezone=-07:00", "-07:00"),
        ("recordings.channel=2", 2),
        ("recordings.channel=loudest", "loudest"),
        ("detector.score_floor=0.2", 0.2),
        ("inference.fail_fast=true", True),
        ("slurm.setup=['module load gcc']", ("module load gcc",)),
    ],
)
def test_a_text_needs_no_quotes_whatever_it_looks_like(tmp_path, assignment, value):
    section, _, key = assignment.partition("=")[0].partition(".")
    found = getattr(getattr(assigned(tmp_path, assignment), section), key)
    assert (found, type(found)) == (value, type(value))


def test_a_text_in_a_table_needs_no_quotes_either(tmp_path):
    found = assigned(tmp_path, "slurm.resources.raw_detections.time=02:00:00")
    assert found.slurm.for_stage("raw_detections").time == "02:00:00"


def test_thresholds_that_are_set_replace_those_of_the_file(tmp_path):
    text = "[detector.thresholds]\nOVEN = 0.6\n"
    (tmp_path / "badc.toml").write_text(text, encoding="utf-8")
    two = ("detector.thresholds.YEWA=0.4", "detector.thresholds.AMRO=0.3")
    assert assigned(tmp_path, *two).detector.thresholds == {"YEWA": 0.4, "AMRO": 0.3}
    assert assigned(tmp_path, "detector.thresholds={}").detector.thresholds == {}


def test_a_set_command_names_its_files_as_a_runner_command_does(tmp_path, monkeypatch):
    (tmp_path / "my x.py").touch()
    monkeypatch.chdir(tmp_path)
    given = ("detector.command='./my x.py' --fast", "detector.min_score=0.3")
    found = SettingOptions(assignments=given).anchored()
    assert settings(tmp_path, assignments=found.assignments).detector.command == (
        f"'{tmp_path}/my x.py' --fast"
    )
    assert found.assignments[1] == given[1]
    plain = SettingOptions(assignments=("detector.command=python3 -m x",))
    assert plain.anchored() == plain


@pytest.mark.parametrize("text", ["detector.min_score", "min_score=0.3", "=3", "a b.c=1", ""])
def test_what_is_no_assignment_is_refused(tmp_path, text):
    with pytest.raises(OptionInvalid, match=r"section\.key=value") as caught:
        assigned(tmp_path, text)
    assert caught.value.where == "--set"


def refusal(tmp_path, **options):
    with pytest.raises(OptionInvalid) as caught:
        settings(tmp_path, **options)
    assert "badc.toml" not in str(caught.value)
    return caught.value.where, caught.value.what


def test_errors_name_what_was_typed_and_not_the_file(tmp_path):
    assert refusal(tmp_path, min_score=25.0) == (
        "--min-score",
        "must be less than or equal to 1, not 25.0",
    )
    assert refusal(tmp_path, cpu_workers=-1)[0] == "--cpu-workers"
    assert refusal(tmp_path, assignments=("chunks.overlap_s=60",))[0] == "--set chunks.overlap_s"
    where, what = refusal(tmp_path, assignments=("detector.minimum=1",))
    assert where == "--set detector.minimum"
    assert "unknown setting detector.minimum; valid here: calibration_file, command" in what
    where, what = refusal(tmp_path, assignments=("nothing.here=1",))
    assert where == "--set nothing.here"
    assert "valid here: chunks, datalad, detector" in what
    assert refusal(tmp_path, detector="typo")[0] == "--detector"
    assert refusal(tmp_path, assignments=("detector.name=typo",))[0] == "--set detector.name"


def test_a_fault_of_the_file_is_not_blamed_on_an_option(tmp_path):
    (tmp_path / "badc.toml").write_text("[chunks]\nduration_s = -1\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"badc\.toml.*chunks\.duration_s") as caught:
        settings(tmp_path, min_score=0.3)
    assert not isinstance(caught.value, OptionInvalid)


def test_options_that_contradict_each_other_are_refused(tmp_path):
    both = {"min_score": 0.3, "assignments": ("detector.min_score=0.4",)}
    assert refusal(tmp_path, **both) == ("--min-score", "excludes --set detector.min_score 0.4")
    assert "excludes --use-hawkears" in refusal(tmp_path, runner_cmd="x", use_hawkears=True)
    assert "excludes --detector birdnet" in refusal(tmp_path, runner_cmd="x", detector="birdnet")
    assert refusal(tmp_path, hawkears_args=("--fast",))[0] == "--hawkears-arg"


def test_a_command_refuses_a_wrong_option_with_exit_code_2(tmp_path):
    app = Typer(rich_markup_mode=None)

    @app.command()
    @taking_options
    def command(options: SettingOptions) -> None:
        """Use the options."""
        options.settings(tmp_path / "badc.toml")

    run_typed(app, "--set", "detector.min_score=0.3", "--set", "inference.cpu_workers=1")
    refused = run_typed(app, "--min-score", "25", code=2)
    assert "Invalid value for --min-score: must be less than or equal to 1" in refused.output


def test_a_run_config_file_takes_settings_as_badc_toml_has_them(tmp_path):
    (tmp_path / "m.csv").touch()
    lines = [
        *("[runner]", 'manifest = "m.csv"', "max_gpus = 1", 'set = "report.top_labels=5"'),
        *("[detector]", "min_score = 0.2", "[detector.thresholds]", "OVEN = 0.5"),
    ]
    (tmp_path / "run.toml").write_text("\n".join(lines), encoding="utf-8")
    found = read_run_config(tmp_path / "run.toml").order().settings
    assert found.inference.max_gpus == 1
    assert found.report.top_labels == 5
    assert found.detector.min_score == 0.2
    assert found.detector.thresholds == {"OVEN": 0.5}


def test_a_models_paths_in_a_run_config_file_begin_at_its_folder(tmp_path):
    (tmp_path / "data" / "audio").mkdir(parents=True)
    (tmp_path / "data" / "m.csv").touch()
    lines = [
        *("[runner]", 'manifest = "data/m.csv"', "[detector.model]", 'file = "nets/a.onnx"'),
        *('labels = "/l.txt"', 'function = "code.py:score"', "window_s = 3"),
    ]
    (tmp_path / "run.toml").write_text("\n".join(lines), encoding="utf-8")
    model = read_run_config(tmp_path / "run.toml").order().settings.detector.model
    assert (model.file, model.labels) == (str(tmp_path / "nets" / "a.onnx"), "/l.txt")
    assert (model.function, model.window_s) == (f"{tmp_path}/code.py:score", 3)


def test_a_wrong_setting_in_a_run_config_file_is_named_with_the_file(tmp_path):
    (tmp_path / "m.csv").touch()
    text = '[runner]\nmanifest = "m.csv"\n[detector]\nmin_score = 25\n'
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"run\.toml: detector\.min_score: must be less than"):
        read_run_config(tmp_path / "run.toml").order()


def test_overrides_reach_sections_inside_sections(tmp_path):
    options = SettingOptions(min_score=0.3, assignments=("detector.hawkears.models=1",))
    overrides = options.overrides()
    assert overrides == {"detector": {"min_score": 0.3, "hawkears": {"models": 1}}}
    assert load_settings(tmp_path / "badc.toml", overrides) == options.settings(
        tmp_path / "badc.toml"
    )
