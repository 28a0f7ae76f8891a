import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from badc_core.detector_settings import DetectorSettings
from badc_core.errors import ConfigInvalid
from badc_core.settings import Settings, is_fixed_offset, load_settings


def load(tmp_path: Path, text: str = "", overrides=None) -> Settings:
    path = tmp_path / "badc.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, overrides)


def refusal(tmp_path: Path, text: str = "", overrides=None) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, text, overrides)
    assert str(tmp_path / "badc.toml") in str(caught.value)
    return caught.value.what


def test_an_absent_or_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent.toml") == load(tmp_path) == Settings()
    assert Settings().detector.name == "birdnet"
    assert (Settings().chunks.duration_s, Settings().chunks.overlap_s) == (60.0, 0.0)


def test_what_a_file_says_replaces_defaults_key_by_key(tmp_path: Path) -> None:
    settings = load(tmp_path, '[detector]\nname = "band_energy"\n[chunks]\nduration_s = 30\n')
    assert settings.detector.name == "band_energy"
    assert settings.detector.min_score == Settings().detector.min_score
    assert settings.chunks.duration_s == 30.0


def test_overrides_are_laid_on_the_file_value_by_value(tmp_path: Path) -> None:
    text = '[detector]\nname = "band_energy"\nmin_score = 0.5\n'
    settings = load(
        tmp_path, text, {"detector": {"min_score": 0.7}, "inference": {"cpu_workers": 3}}
    )
    assert (settings.detector.name, settings.detector.min_score) == ("band_energy", 0.7)
    assert settings.inference.cpu_workers == 3
    assert load(tmp_path, text, {}).detector.min_score == 0.5


def test_overrides_replace_all_thresholds_of_the_file(tmp_path: Path) -> None:
    text = "[detector]\nmin_score = 0.5\n[detector.thresholds]\nOVEN = 0.6\nYEWA = 0.7\n"

    def thresholds(**given: dict[str, float]) -> dict[str, float]:
        settings = load(tmp_path, text, {"detector": given})
        assert settings.detector.min_score == 0.5
        return settings.detector.thresholds

    assert thresholds() == {"OVEN": 0.6, "YEWA": 0.7}
    assert thresholds(thresholds={"OVEN": 0.4}) == {"OVEN": 0.4}
    assert thresholds(thresholds={}) == {}


def test_an_unknown_key_is_answered_with_the_valid_ones(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[detector]\nminscore = 0.5\n") == (
        "unknown setting detector.minscore; "
        "valid here: calibration_file, command, exclude, hawkears, include, label_length, "
        "min_score, model, name, "
        "range, range_threshold, range_week, runtime, score_floor, sensitivity, species_list, "
        "thresholds, thresholds_file, window_overlap_s"
    )


def test_an_unknown_section_is_answered_with_the_valid_ones(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[detectors]\nname = 'x'\n") == (
        "unknown setting detectors; valid here: chunks, datalad, detector, export, inference, "
        "notify, recordings, report, slurm, speech, web_interface, work"
    )


def test_an_unknown_override_is_answered_likewise(tmp_path: Path) -> None:
    told = refusal(tmp_path, overrides={"inference": {"threads": 2}})
    assert told.startswith("unknown setting inference.threads; valid here: backoff_s, chunk_json, ")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = refusal(tmp_path, "[detector]\nmin_score = 2\n[chunks]\nlength = 1\nduration_s = 'x'\n")
    for name in ("detector.min_score", "chunks.length", "chunks.duration_s"):
        assert name in told


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("chunks", "duration_s", 0),
        ("chunks", "duration_s", -60),
        ("chunks", "duration_s", float("inf")),
        ("chunks", "duration_s", float("nan")),
        ("chunks", "duration_s", 0.005),
        ("chunks", "overlap_s", -1),
        ("chunks", "overlap_s", 60),
        ("chunks", "overlap_s", 59.995),
        ("chunks", "overlap_s", 61),
        ("chunks", "min_chunk_s", -1),
        ("detector", "min_score", -0.01),
        ("detector", "min_score", 1.01),
        ("detector", "min_score", float("nan")),
        ("detector", "sensitivity", 0.49),
        ("detector", "sensitivity", 1.51),
        ("detector", "window_overlap_s", -0.1),
        ("detector", "window_overlap_s", float("inf")),
        ("detector", "name", 3),
        ("inference", "cpu_workers", -1),
        ("inference", "cpu_workers", 1.5),
        ("inference", "workers_per_gpu", 0),
        ("inference", "max_retries", -1),
        ("inference", "timeout_s", 0),
        ("inference", "max_failed_fraction", 1.01),
        ("detector", "thresholds", {"Ovenbird": 1.5}),
        ("detector", "hawkears", {"models": 7}),
        ("detector", "hawkears", {"modles": 3}),
        ("detector", "model", {"flie": "x"}),
        ("detector", "model", {"activation": "relu"}),
        ("detector", "model", {"window_s": 0}),
        ("detector", "model", {"sample_rate_hz": 48_000.5}),
        ("detector", "model", {"batch_windows": 0}),
        ("detector", "model", {"batch_windows": 4097}),
        ("detector", "model", {"window_s": 600.1}),
        ("recordings", "min_age_s", -1),
        ("recordings", "fingerprint", "md5"),
        ("recordings", "roots", "audio"),
        ("recordings", "roots", ["../other"]),
        ("recordings", "roots", ["/mnt/card"]),
        ("recordings", "roots", ["audio", "audio/../.."]),
        ("recordings", "roots", [""]),
        ("recordings", "templates", ["../{location}/*"]),
        ("recordings", "templates", ["/{location}/*"]),
        *(("recordings", "channel", one) for one in (0, -1, 1.5, True, "2", "left", ["first"])),
        ("report", "bucket_minutes", 0),
        ("report", "bucket_minutes", 1441),
        ("report", "top_labels", 0),
        ("report", "padding_s", -1),
    ],
)
def test_a_value_outside_its_limits_is_refused(tmp_path: Path, section, key, value) -> None:
    told = refusal(tmp_path, overrides={section: {key: value}})
    assert section in told


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("chunks", "duration_s", 0.01),
        ("chunks", "overlap_s", 59.9),
        ("detector", "min_score", 0),
        ("detector", "min_score", 1),
        ("detector", "sensitivity", 0.5),
        ("detector", "sensitivity", 1.5),
        ("inference", "cpu_workers", 0),
        ("report", "bucket_minutes", 1440),
        *(("recordings", "channel", one) for one in (1, 513, "mean", "each")),
    ],
)
def test_a_value_at_its_limit_is_taken(tmp_path: Path, section, key, value) -> None:
    settings = load(tmp_path, overrides={section: {key: value}})
    assert getattr(getattr(settings, section), key) == value


def test_a_channel_that_is_none_is_answered_with_those_there_are(tmp_path: Path) -> None:
    told = refusal(tmp_path, overrides={"recordings": {"channel": "left"}})
    assert 'must be "mean", "first", "loudest", "each" or a number from 1, not \'left\'' in told


@pytest.mark.parametrize(
    "zone", ["UTC", "America/Edmonton", "Etc/GMT+7", "-07:00", "+0530", "+14:00", "-03:30"]
)
def test_a_time_zone_is_a_name_or_an_offset(tmp_path: Path, zone: str) -> None:
    settings = load(tmp_path, overrides={"recordings": {"timezone": zone}})
    assert settings.recordings.timezone == zone


@pytest.mark.parametrize(
    "zone",
    [
        *("America/Edmontom", "MST7", "", "America", "../etc/passwd", "a\0b", "x" * 300, "UTC "),
        *(
            "+25:00",
            "-99:99",
            "+07:60",
            "7:00",
            "+7",
            "+07",
            "-7:000",
            "+\u0660\u0667:\u0660\u0660",
            "07:00",
        ),
    ],
)
def test_a_time_zone_that_does_not_exist_is_refused(tmp_path: Path, zone: str) -> None:
    told = refusal(tmp_path, overrides={"recordings": {"timezone": zone}})
    assert told.startswith("recordings.timezone: unknown time zone")


def test_offsets_are_told_from_names() -> None:
    assert is_fixed_offset("-07:00")
    assert is_fixed_offset("+0000")
    assert not is_fixed_offset("UTC")
    assert not is_fixed_offset("")


@pytest.mark.parametrize(
    "text", ["[detector", "= 3", "[detector]\nname = birdnet\n", "a = 1\na = 2"]
)
def test_text_that_is_not_toml_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith("not valid TOML")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "badc.toml"
    path.write_bytes("[recordings]\nroots = ['été']\n".encode("latin-1"))
    with pytest.raises(ConfigInvalid, match="not valid TOML"):
        load_settings(path)


def test_a_value_where_a_section_belongs_is_refused(tmp_path: Path) -> None:
    assert "detector" in refusal(tmp_path, "detector = 'birdnet'\n")
    overridden = load(tmp_path, "detector = 'birdnet'\n", {"detector": {"name": "band_energy"}})
    assert overridden.detector.name == "band_energy"


def test_detectors_have_their_own_minimum_score_unless_one_is_given(tmp_path: Path) -> None:
    def min_score(text: str) -> float:
        return load(tmp_path, text).detector.min_score

    assert min_score("") == 0.25
    assert min_score('[detector]\nname = "hawkears"\n') == 0.7
    assert min_score('[detector]\nname = "hawkears1"\n') == 0.8
    assert min_score('[detector]\nname = "hawkears"\nmin_score = 0.25\n') == 0.25
    assert load(tmp_path, "", {"detector": {"name": "hawkears"}}).detector.min_score == 0.7


def test_a_low_threshold_that_would_change_other_labels_is_refused() -> None:
    with pytest.raises(ValidationError, match="would change hawkears's other labels"):
        DetectorSettings(name="hawkears", thresholds={"Osprey": 0.3})
    assert DetectorSettings(name="hawkears", thresholds={"Osprey": 0.9}).lowest_score == 0.7


def test_a_models_paths_begin_at_the_folder_of_the_file(tmp_path: Path, monkeypatch) -> None:
    text = """
        [detector.model]
        file = "models/a.onnx"
        labels = "~/labels.txt"
        function = "our code/a.py:score"
    """
    monkeypatch.setenv("HOME", "/home/somebody")
    model = load(tmp_path, text).detector.model
    assert model.file == str(tmp_path / "models" / "a.onnx")
    assert model.labels == "/home/somebody/labels.txt"
    assert model.function == f"{tmp_path}/our code/a.py:score"
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("badc.toml")).detector.model == model
    whole = {"file": "/models/a.onnx", "function": "package.module:score", "labels": "~nobody1/a"}
    model = load(tmp_path, "", {"detector": {"model": whole}}).detector.model
    assert (model.file, model.labels) == ("/models/a.onnx", str(tmp_path / "~nobody1" / "a"))
    assert model.function == "package.module:score"


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().detector.min_score = 0.9


def test_every_setting_has_a_description() -> None:
    for section, field in Settings.model_fields.items():
        for name, setting in field.annotation.model_fields.items():
            assert setting.description, f"{section}.{name}"


def test_the_environment_changes_nothing(tmp_path: Path, monkeypatch) -> None:
    for name in ("DETECTOR", "BADC_DETECTOR", "DETECTOR__NAME", "NAME", "WORKERS"):
        monkeypatch.setenv(name, "3")
    assert load(tmp_path) == Settings()
    assert os.environ["WORKERS"] == "3"
