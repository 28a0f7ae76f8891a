"""Which channel of a recording is analysed, on the way from the setting to the detections."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from support.detecting import cut_recordings, detect_and_select, detect_in_process, step_inputs

from badc_core.audio.channel import EACH, MEAN
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import CHANNEL_KEY, read_metadata
from badc_core.errors import ChannelMissing, InputOutdated
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.journal import chunk_key
from badc_core.inference.raw_result import read_raw_result
from badc_core.inference.recording_run import Keys
from badc_core.inference.select import select_detections
from badc_core.settings import ChannelSetting
from badc_core.stages.fingerprints import Fingerprints
from badc_core.telemetry.log import TelemetryLog

RATE_HZ = 24_000
LENGTH = 6 * RATE_HZ
AT_S = np.arange(LENGTH) / RATE_HZ
BIRD = 0.2 * np.sin(2 * np.pi * 5000 * AT_S) * ((AT_S > 3.5) & (AT_S < 4.2))
OWL = 0.1 * np.sin(2 * np.pi * 600 * AT_S) * ((AT_S > 0.5) & (AT_S < 1.2))
NOISE = 0.001 * np.random.default_rng(1).standard_normal((LENGTH, 3))

MONO = {"bird": BIRD + NOISE[:, 0], "owl": OWL + NOISE[:, 1]}
STEREO = {
    "antiphase": np.stack([MONO["bird"], -MONO["bird"]], 1),
    "both": np.stack([MONO["owl"], MONO["bird"]], 1),
    "offset": np.stack([0.6 + NOISE[:, 2], MONO["bird"]], 1),
}


def reopen(root: Path, channel: ChannelSetting, **inference: Any) -> Dataset:
    return Dataset.open(
        root,
        {
            "recordings": {"channel": channel},
            "chunks": {"duration_s": 3.0},
            "detector": {"name": "band_energy", "min_score": 0.3},
            "inference": {"cpu_workers": 1, **inference},
        },
    )


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> Path:
    """Returns the root of a dataset of mono and stereo recordings, described and cut."""
    root = tmp_path_factory.mktemp("channels")
    for name, sound in (MONO | STEREO).items():
        (root / "audio" / "S").mkdir(parents=True, exist_ok=True)
        sf.write(root / "audio" / "S" / f"{name}.wav", sound, RATE_HZ, subtype="FLOAT")
    dataset = reopen(root, MEAN)
    cut_recordings(dataset)
    return root


@pytest.fixture
def root(described: Path, tmp_path: Path) -> Path:
    """Returns such a dataset, for one test alone."""
    shutil.copytree(described, tmp_path / "dataset")
    return tmp_path / "dataset"


def detect(dataset: Dataset, *names: str) -> dict[str, DetectionsResult]:
    return detect_in_process(dataset, names or sorted((*MONO, *STEREO)))


def found(result: DetectionsResult) -> dict[tuple[int, str], float]:
    """Returns start and label -> score."""
    rows = result.table.to_pylist()
    return {(row["absolute_time_ms"], row["label"]): row["confidence"] for row in rows}


def test_a_bird_that_cancels_out_is_found_in_single_channels_as_in_mono(root: Path) -> None:
    runs = {one: detect(reopen(root, one)) for one in ("mean", "first", 2, "loudest", "each")}
    in_mono = {one: found(runs["mean"][one]) for one in MONO}
    assert in_mono["bird"]
    assert in_mono["owl"]
    assert found(runs["mean"]["antiphase"]) == {}
    for channel in ("first", 2, "loudest", "each"):
        assert found(runs[channel]["antiphase"]) == pytest.approx(in_mono["bird"], abs=1e-6)
    assert found(runs["first"]["both"]) == pytest.approx(in_mono["owl"], abs=1e-6)
    assert found(runs[2]["both"]) == pytest.approx(in_mono["bird"], abs=1e-6)
    together = {
        place: max(one.get(place, 0.0) for one in in_mono.values())
        for place in in_mono["bird"].keys() | in_mono["owl"].keys()
    }
    assert found(runs["each"]["both"]) == pytest.approx(together, abs=1e-6)
    assert runs["each"]["both"].effort_s == 6.0
    for channel in ("loudest", 2):  # however far off centre the other one is
        assert found(runs[channel]["offset"]) == pytest.approx(in_mono["bird"], abs=1e-6)
    for channel in ("first", 2, "loudest", "each"):
        for name in MONO:  # untouched, and not analysed again
            assert found(runs[channel][name]) == in_mono[name]
            assert runs[channel][name].raw.n_resumed == 2


def test_a_channel_that_a_recording_lacks_is_one_error_and_the_others_go_on(root: Path) -> None:
    dataset = reopen(root, 3)
    wanted = sorted((*MONO, *STEREO))
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        outcomes = list(detect_and_select(dataset, wanted, telemetry))
    errors = {one.recording_id: one.error for one in outcomes}
    for name in STEREO:
        error = errors.pop(name)
        assert isinstance(error, ChannelMissing)
        assert error.what == "it has 2 channels, so there is no channel 3 to analyse"
        assert error.where == name
        assert "recordings.channel" in error.remedy
    assert errors == dict.fromkeys(MONO)


def test_detections_are_of_the_channel_that_is_wanted_or_refused(root: Path) -> None:
    first = reopen(root, "first")
    detect(first, "both", "bird")
    assert read_metadata(first.detections("both"))[CHANNEL_KEY] == "1"
    assert CHANNEL_KEY not in read_metadata(first.detections("bird"))
    assert read_raw_result(first.raw_detections("both"), "both").channel == 0
    again = dict.fromkeys(("bird", "both"))
    for one in select_detections(step_inputs(reopen(root, 2), again, "detections")):
        again[one.recording_id] = one.error
        if one.error is None:
            one.commit()
    assert again["bird"] is None
    assert isinstance(again["both"], InputOutdated)
    assert "another channel (1)" in str(again["both"])


def test_only_recordings_whose_channel_changes_become_due(root: Path) -> None:
    def wanted(channel: ChannelSetting) -> dict[str, list[str]]:
        fingerprints = Fingerprints(reopen(root, channel))
        return {
            name: [
                fingerprints.of(stage, "source", *fingerprints.choices(stage, name))
                for stage in ("recording", "chunk_manifest", "raw_detections", "detections")
            ]
            for name in (*MONO, *STEREO)
        }

    before = Fingerprints(reopen(root, MEAN))
    plain = [
        before.of(stage, "source")
        for stage in ("recording", "chunk_manifest", "raw_detections", "detections")
    ]
    assert set(map(tuple, wanted("mean").values())) == {tuple(plain)}
    every = {one: wanted(one) for one in ("first", 1, 2, "loudest", "each", 7)}
    for one in every.values():
        assert all(one[name] == plain for name in MONO)
        for name in STEREO:
            assert [a == b for a, b in zip(one[name], plain, strict=True)] == [1, 1, 0, 1]
    assert every["first"] == every[1]
    different = [every[one]["both"][2] for one in (1, 2, "each", 7)]
    assert len(set(different)) == len(different)
    # Made with the channel that is the loudest of this recording, but not of that.
    assert every["loudest"]["offset"] == every[2]["offset"]
    assert every["loudest"]["both"] == every[2]["both"]


def test_a_chunk_is_known_by_its_channel_unless_that_is_the_mean(make_tasks) -> None:
    keys = Keys("model", "file", uses_place=True)
    (task,) = make_tasks(1, 3.0)
    plans = [keys.plan(replace(task, channel=one), "sound") for one in (MEAN, 0, 1, EACH)]
    assert len({one.key for one in plans}) == len({one.file_key for one in plans}) == 4
    assert plans[0].key == chunk_key("model", "sound", 0, task.recording_context)
