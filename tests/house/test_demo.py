"""`make demo`'s recordings: fetched once, checked, and laid out so that BADC can read them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from support.built_once import build_once

from badc_core.datasets.dataset import Dataset
from badc_core.demo import RECORDINGS, make_demo
from badc_core.errors import BadcError

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory, lacking) -> Path:
    """Returns a cache that holds the recordings, downloaded for real."""

    def fetch(folder: Path) -> None:
        make_demo(folder / "first", folder / "cache")

    try:
        return build_once(tmp_path_factory, "demo", fetch) / "cache"
    except BadcError as error:
        lacking(f"the demo's recordings: {error}")


def _run(folder, **environment):
    return subprocess.run(
        [sys.executable, "-m", "badc_core.demo", str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_is_a_dataset_of_two_stations_with_readable_audio(demo_cache, tmp_path):
    assert make_demo(tmp_path / "demo", demo_cache)
    dataset = Dataset.open(tmp_path / "demo")
    assert dataset.settings.recordings.timezone == "America/Toronto"
    assert dataset.deployments.exists()
    stations = {path.parent.name for path in (tmp_path / "demo" / "audio").rglob("*.*")}
    assert stations == {"MARSH", "RIDGE"}
    seconds = [soundfile.info(dataset.audio(item.target)).duration for item in RECORDINGS]
    assert seconds == pytest.approx([5.9, 10.1], abs=0.1)


def test_a_second_time_nothing_changes_and_no_network_is_needed(demo_cache, tmp_path, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    assert make_demo(tmp_path / "demo", demo_cache)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert not make_demo(tmp_path / "demo", demo_cache)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_damaged_recording_is_put_right_and_own_settings_are_kept(demo_cache, tmp_path):
    make_demo(tmp_path, demo_cache)
    (tmp_path / RECORDINGS[0].target).write_bytes(b"half a fi")
    (tmp_path / "badc.toml").write_text("[chunks]\nduration_s = 30\n", encoding="utf-8")
    assert make_demo(tmp_path, demo_cache)
    assert (tmp_path / RECORDINGS[0].target).stat().st_size == 30_297
    assert Dataset.open(tmp_path).settings.chunks.duration_s == 30


def test_without_a_network_it_ends_with_one_clear_line(tmp_path):
    done = _run(tmp_path / "demo", **OFFLINE)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("demo: hawkears==2.3.0: the package cannot be downloaded")
    assert "Check the network connection" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_the_readme_says_where_the_recordings_come_from_and_what_is_made_up(demo_cache, tmp_path):
    make_demo(tmp_path, demo_cache)
    text = (tmp_path / "README.txt").read_text(encoding="utf-8")
    for recording in RECORDINGS:
        assert recording.requirement in text
        assert recording.target in text
    assert "MIT" in text
    assert "made up" in text
