"""HawkEars 2, for real: beside its own command, through crashes, and where things are missing.

Its networks have random weights, so what they find is compared, never judged.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.random_hawkears import add_random_networks

import badc_core
from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.detector_settings import DetectorSettings, HawkEarsSettings
from badc_core.detectors.hawkears import hawkears2
from badc_core.detectors.hawkears import worker as hawkears_worker
from badc_core.detectors.hawkears.check import (
    Row,
    agree,
    build_command,
    check,
    detect_with_command,
    detect_with_loaded,
)
from badc_core.detectors.hawkears.home import HawkEarsHome
from badc_core.detectors.hawkears.install import install, install_environment, install_networks
from badc_core.detectors.interface import NO_CONTEXT, Detection, Label, RecordingContext
from badc_core.detectors.registry import choose_chunks
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing, OutOfMemory
from badc_core.probing.measuring import measure_in_child
from badc_core.probing.memory_limit import MemoryLimit
from badc_core.settings import ChunkSettings, Settings

MIN_SCORE = 0.7
EDMONTON_IN_JUNE = RecordingContext(53.5, -113.5, "2024-06-05")
RARE_BELOW = 0.0002


pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def home(hawkears_home: HawkEarsHome) -> HawkEarsHome:
    return hawkears_home


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """Yields the folder for temporary files, which every test must leave empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="session")
def detector(home: HawkEarsHome) -> Iterator[hawkears2.HawkEars]:
    loaded = hawkears2.load(settings_for(home))
    yield loaded
    loaded.close()


def fill(home: HawkEarsHome, given: Path | None = None) -> None:
    install_networks(home, given, lambda _: None)


def settings_for(home: HawkEarsHome, **ours: object) -> DetectorSettings:
    return DetectorSettings(
        name="hawkears",
        runtime=str(home.root),
        min_score=MIN_SCORE,
        hawkears=HawkEarsSettings.model_validate({"models": 3, **ours}),
    )


def pid_of(detector: hawkears2.HawkEars) -> int:
    """Returns the process that HawkEars runs in."""
    assert detector._child is not None
    return detector._child._process.pid


def chunks_of(path: Path, **settings: float) -> tuple[Chunk, ...]:
    with AudioFile(path) as audio:
        return plan_chunks("rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings(**settings))


def detect(
    detector: hawkears2.HawkEars,
    path: Path,
    chunk: Chunk,
    recording_context: RecordingContext = NO_CONTEXT,
) -> list[Detection]:
    with AudioFile(path) as audio:
        (batch,) = detector.batches(audio, chunk, recording_context)
    assert len(batch) == 1
    (found,) = detector.detect(batch)
    assert not batch.path.exists()
    return found


def rows_in(table: Path) -> list[Row]:
    with table.open(newline="") as file:
        return sorted(
            (float(row["start_time"]), float(row["end_time"]), row["name"], float(row["score"]))
            for row in csv.DictReader(file)
        )


def rows(found: list[Detection], chunk: Chunk) -> list[Row]:
    rate_hz = chunk.sample_rate_hz
    return sorted(
        (
            round((one.start_sample - chunk.start_sample) / rate_hz, 3),
            round((one.end_sample - chunk.start_sample) / rate_hz, 3),
            one.label.code,
            round(one.confidence, 3),
        )
        for one in found
    )


def rows_of(detector: hawkears2.HawkEars, path: Path, chunk: Chunk) -> list[Row]:
    """Returns what is found in a chunk, in seconds of the recording."""
    return rows(detect(detector, path, chunk), replace(chunk, start_sample=0))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} outlived who started it"
        time.sleep(0.05)


@pytest.mark.soak
def test_each_chunk_gives_what_hawkears_own_command_gives(
    home: HawkEarsHome, soundscape: Path
) -> None:
    settings = settings_for(home, low_band=True)
    detector = hawkears2.load(settings)
    codes = set()
    try:
        pid = pid_of(detector)
        for chunk in chunks_of(soundscape, duration_s=13.0):
            with AudioFile(soundscape) as audio:
                (batch,) = detector.batches(audio, chunk, NO_CONTEXT)
            expected = detect_with_command(home, batch.path, settings)
            (found,) = detector.detect(batch)
            assert len(expected) > 20
            assert agree(rows(found, chunk), expected)
            codes |= {row[2] for row in expected}
        assert pid_of(detector) == pid
    finally:
        detector.close()
    assert "RUGR" in codes


@pytest.mark.soak
def test_a_recording_with_a_loud_passage_gives_what_hawkears_own_command_gives_of_the_whole(
    home: HawkEarsHome, detector: hawkears2.HawkEars, field_audio: Path, tmp_path: Path
) -> None:
    quiet, rate_hz = sf.read(field_audio / "soundscape.flac", dtype="float32")
    sound = 0.05 * quiet
    loud = quiet[: 6 * rate_hz]
    sound[90 * rate_hz : 96 * rate_hz] = 0.95 * loud / np.abs(loud).max()
    path = tmp_path / "two minutes.wav"
    sf.write(path, sound, rate_hz, subtype="PCM_16")
    settings = Settings(detector=settings_for(home), chunks=ChunkSettings(duration_s=30))
    (chunk,) = chunks_of(path, **choose_chunks(settings).model_dump())
    expected = detect_with_command(home, path, settings.detector)
    assert len(expected) > 100
    assert agree(rows(detect(detector, path, chunk), chunk), expected)
    # In chunks as they are set it would be something else.
    shorter = chunks_of(path, duration_s=30)
    assert not agree(
        sorted(row for one in shorter for row in rows_of(detector, path, one)), expected
    )


def test_a_chunk_gives_the_same_after_others_and_labels_have_all_names(
    detector: hawkears2.HawkEars, soundscape: Path, field_audio: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=100.0)[0]
    pid = pid_of(detector)
    other = field_audio / "CommonYellowthroat.mp3"
    found = detect(detector, soundscape, chunk)
    assert detect(detector, other, chunks_of(other)[0]) != found
    assert detect(detector, soundscape, chunk) == found
    assert len(found) > 50
    for one in found:
        assert MIN_SCORE <= one.confidence <= 1
        assert 0 <= one.start_sample < one.end_sample <= chunk.end_sample
        assert (one.is_expected, one.occurrence) == (None, None)
    assert pid_of(detector) == pid
    labels = {one.label.code: one.label for one in found}
    assert "RUGR" not in labels
    assert labels["BRCR"].name == "Brown Creeper"
    assert labels["BRCR"].scientific_name == "Certhia americana"
    starts = [one.start_sample for one in found]
    assert starts == sorted(starts)


def test_where_chunks_overlap_labels_are_cut_at_the_border(
    detector: hawkears2.HawkEars, soundscape: Path
) -> None:
    whole = chunks_of(soundscape, duration_s=100.0)[0]
    overlapping = replace(whole, overlap_samples=round(4.1 * whole.sample_rate_hz))
    border = overlapping.start_sample + overlapping.overlap_samples
    expected = sorted(
        (max(one.start_sample, border), one.end_sample, one.label.code)
        for one in detect(detector, soundscape, whole)
        if one.end_sample > border
    )
    assert any(start == border for start, _, _ in expected)
    assert expected == sorted(
        (one.start_sample, one.end_sample, one.label.code)
        for one in detect(detector, soundscape, overlapping)
    )


def test_a_recording_too_short_for_hawkears_has_no_sounds_and_a_note(
    detector: hawkears2.HawkEars, field_audio: Path
) -> None:
    path = field_audio / "veryshort.wav"
    assert detect(detector, path, chunks_of(path)[0]) == []
    report = detector.report()
    assert report is not None
    assert "too short" in report.notes[0]


@pytest.mark.soak
def test_species_rare_at_a_place_and_date_are_marked_and_kept(
    home: HawkEarsHome, detector: hawkears2.HawkEars, soundscape: Path, tmp_path: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=100.0)[0]
    found = detect(detector, soundscape, chunk, EDMONTON_IN_JUNE)
    place = ("--lat", "53.5", "--lon", "-113.5", "--date", "20240605")
    command = (*build_command(home, soundscape, tmp_path / "out", settings_for(home)), *place)
    subprocess.run(command, check=True, cwd=home.data_root, capture_output=True)
    usual = [one for one in found if one.is_expected is not False]
    rare = [one for one in found if one.is_expected is False]
    assert agree(rows(usual, chunk), rows_in(tmp_path / "out" / "scores.csv"))
    assert agree(rows(rare, chunk), rows_in(tmp_path / "out" / "rarities.csv"))
    assert rare
    assert any(one.is_expected for one in usual)
    assert all(one.occurrence is not None and one.occurrence < RARE_BELOW for one in rare)
    assert all(one.occurrence >= RARE_BELOW for one in usual if one.occurrence is not None)


@pytest.mark.soak
def test_a_region_stands_in_for_a_place_that_is_not_known(
    home: HawkEarsHome, soundscape: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=12.0)[0]
    detector = hawkears2.load(settings_for(home, region="CA-AB"))
    try:
        found = detect(detector, soundscape, chunk, RecordingContext(date="2024-06-05"))
        assert {True, False} <= {one.is_expected for one in found}
        at_sea = detect(detector, soundscape, chunk, RecordingContext(0.0, 0.0, "2024-06-05"))
        assert {one.is_expected for one in at_sea} == {None}
        report = detector.report()
        assert report is not None
        assert "no eBird county at 0, 0" in report.notes[0]
    finally:
        detector.close()


@pytest.mark.soak
def test_occurrence_is_not_asked_where_that_is_switched_off(
    home: HawkEarsHome, soundscape: Path
) -> None:
    detector = hawkears2.load(settings_for(home, region="XX-none", use_occurrence=False))
    try:
        chunk = chunks_of(soundscape, duration_s=12.0)[0]
        found = detect(detector, soundscape, chunk, EDMONTON_IN_JUNE)
        assert {one.is_expected for one in found} == {None}
    finally:
        detector.close()


@pytest.mark.soak
def test_a_region_that_nobody_knows_is_refused(home: HawkEarsHome) -> None:
    with pytest.raises(ConfigInvalid, match="no region 'XX-none'"):
        hawkears2.load(settings_for(home, region="XX-none"))


def test_after_hawkears_was_killed_the_next_chunk_works(
    detector: hawkears2.HawkEars, soundscape: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=12.0)[0]
    expected = detect(detector, soundscape, chunk)
    pid = pid_of(detector)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DetectorFailed, match="killed by signal 9") as failure:
        detect(detector, soundscape, chunk)
    assert failure.value.retryable
    report = detector.report()
    assert report is not None
    assert report.returncode == -signal.SIGKILL
    assert detect(detector, soundscape, chunk) == expected
    assert pid_of(detector) != pid
    report = detector.report()
    assert report is not None
    assert report.notes == ("HawkEars was started again",)
    assert report.command is not None
    assert report.command[-1] == hawkears_worker.__file__


def test_hawkears_own_table_is_kept_where_that_is_wanted(
    detector: hawkears2.HawkEars, soundscape: Path, scratch: Path, tmp_path: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=12.0)[0]
    kept = tmp_path / "out" / f"{chunk.chunk_id}_hawkears"
    with AudioFile(soundscape) as audio:
        (batch,) = detector.batches(audio, chunk, NO_CONTEXT)
    (found,) = detector.detect(batch.kept_in(kept))
    assert len(rows_in(kept / "scores.csv")) == len(found) > 0
    assert not list(kept.rglob("*.wav"))
    assert list(scratch.iterdir()) == []


def test_a_file_hawkears_cannot_read_fails_and_the_next_chunk_works(
    detector: hawkears2.HawkEars, soundscape: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=12.0)[0]
    with AudioFile(soundscape) as audio:
        (batch,) = detector.batches(audio, chunk, NO_CONTEXT)
    batch.path.write_bytes(b"not audio")
    with pytest.raises(DetectorFailed, match="Could not load recording"):
        detector.detect(batch)
    assert not batch.path.exists()
    pid = pid_of(detector)
    assert detect(detector, soundscape, chunk)
    assert pid_of(detector) == pid


def test_hawkears_ends_with_the_process_that_started_it_even_in_the_middle_of_work(
    home: HawkEarsHome, soundscape: Path, scratch: Path
) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from badc_core.audio.reader import AudioFile\n"
        "from badc_core.chunks.plan import Chunk\n"
        "from badc_core.detectors.hawkears import hawkears2\n"
        "from badc_core.detectors.interface import NO_CONTEXT\n"
        "from badc_core.detector_settings import DetectorSettings\n"
        "detector = hawkears2.load(DetectorSettings(name='hawkears', runtime=sys.argv[1]))\n"
        "print(detector._child._process.pid, flush=True)\n"
        "while True:\n"
        "    with AudioFile(Path(sys.argv[2])) as audio:\n"
        "        chunk = Chunk('rec', 0, audio.n_samples, 0, audio.sample_rate_hz)\n"
        "        for batch in detector.batches(audio, chunk, NO_CONTEXT): detector.detect(batch)\n"
    )
    command = [sys.executable, "-c", program, str(home.root), str(soundscape)]
    environment = {
        **os.environ,
        "TMPDIR": str(scratch.parent),
        "PYTHONPATH": str(Path(badc_core.__file__).parents[1]),
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as ours:
        try:
            assert ours.stdout is not None
            pid = int(ours.stdout.readline())
            time.sleep(1.0)
            assert is_running(pid)
        finally:
            ours.kill()
    wait_for_end(pid)


def wrapped(home: HawkEarsHome, root: Path, patch: str) -> HawkEarsHome:
    """Returns a home whose interpreter runs some lines before the program."""
    poor = HawkEarsHome(root)
    (poor.venv / "bin").mkdir(parents=True)
    (poor.venv / "lib").symlink_to(home.venv / "lib")
    poor.stamp.write_bytes(home.stamp.read_bytes())
    poor.data_root.symlink_to(home.data_root)
    wrapper = root / "short_of_memory.py"
    wrapper.write_text(
        f"import runpy, sys, torch, hawkears\n{patch}"
        "runpy.run_path(sys.argv[2], run_name='__main__')\n"
    )
    poor.python.write_text(f'#!/bin/sh\nexec "{home.python}" -I "{wrapper}" "$@"\n')
    poor.python.chmod(0o755)
    return poor


def short_of_memory(home: HawkEarsHome, root: Path, holds: int) -> HawkEarsHome:
    """Returns a home whose networks take no more than some spectrograms at a time."""
    return wrapped(
        home,
        root,
        "from britekit.models.base_model import BaseModel\n"
        "predict = BaseModel.predict\n"
        "def predict_or_fail(self, *arguments):\n"
        f"    if self.cfg.infer.block_size > {holds}:\n"
        "        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate')\n"
        "    return predict(self, *arguments)\n"
        "BaseModel.predict = predict_or_fail\n",
    )


@pytest.mark.soak
def test_out_of_memory_halves_the_block_and_goes_on(
    home: HawkEarsHome, detector: hawkears2.HawkEars, soundscape: Path, tmp_path: Path
) -> None:
    chunk = chunks_of(soundscape, duration_s=100.0)[0]
    poor = hawkears2.load(settings_for(short_of_memory(home, tmp_path / "poor", holds=3)))
    try:
        pid = pid_of(poor)
        found = detect(poor, soundscape, chunk)
        report = poor.report()
        assert report is not None
        assert report.notes == (
            "out of memory: block_size is 5 from here on",
            "out of memory: block_size is 2 from here on",
        )
        assert rows(found, chunk) == rows(detect(detector, soundscape, chunk), chunk)
        detect(poor, soundscape, chunk)
        report = poor.report()
        assert report is not None
        assert report.notes == ()
        assert pid_of(poor) == pid
    finally:
        poor.close()


@pytest.mark.soak
def test_networks_that_fit_nowhere_are_out_of_memory(home: HawkEarsHome, tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match="do not fit"):
        hawkears2.load(settings_for(short_of_memory(home, tmp_path / "poor", holds=0)))


def test_who_it_is_is_known_without_starting_it(home: HawkEarsHome, detector) -> None:
    settings = settings_for(home)
    identity = hawkears2.identify(settings)
    assert identity == detector.identity
    assert (identity.name, identity.version) == ("hawkears", "2.3.0+3.random")
    assert identity.uses_gpu
    more = hawkears2.identify(settings_for(home, models=4))
    low = hawkears2.identify(settings_for(home, low_band=True))
    assert (more.version, low.version) == ("2.3.0+4.random", "2.3.0+3.lowband.random")
    assert len({identity.model_sha256, more.model_sha256, low.model_sha256}) == 3


def test_where_nothing_is_installed_the_error_names_the_command(tmp_path: Path) -> None:
    settings = settings_for(HawkEarsHome(tmp_path / "nowhere"))
    for ask in (hawkears2.identify, hawkears2.load):
        with pytest.raises(DetectorMissing, match="Run: badc hawkears install"):
            ask(settings)


def test_an_installation_that_was_interrupted_is_not_taken_for_good(
    home: HawkEarsHome, tmp_path: Path
) -> None:
    half = HawkEarsHome(tmp_path / "half")
    half.venv.mkdir(parents=True)
    for name in ("lib", "bin"):
        (half.venv / name).symlink_to(home.venv / name)
    with pytest.raises(DetectorMissing, match="not installed completely"):
        hawkears2.identify(settings_for(half))


@pytest.mark.parametrize(
    ("lost", "ours"),
    [
        ("data/ckpt", {}),
        ("data/ckpt-low-band", {"low_band": True}),
        ("data/exclude.txt", {}),
        ("data/occurrence.pkl", {}),
    ],
)
def test_what_is_missing_is_named(
    home: HawkEarsHome, tmp_path: Path, lost: str, ours: dict[str, bool]
) -> None:
    poor = HawkEarsHome(tmp_path / "poor")
    (poor.data_root / "data").mkdir(parents=True)
    (poor.venv).symlink_to(home.venv)
    (poor.data_root / "yaml").symlink_to(home.data_root / "yaml")
    for path in (home.data_root / "data").iterdir():
        if f"data/{path.name}" != lost:
            (poor.data_root / "data" / path.name).symlink_to(path)
    with pytest.raises(DetectorMissing, match="badc hawkears install") as failure:
        hawkears2.identify(settings_for(poor, **ours))
    assert failure.value.where == str(poor.data_root / lost)


@pytest.mark.soak
def test_more_networks_than_there_are_is_refused(home: HawkEarsHome, tmp_path: Path) -> None:
    poor = HawkEarsHome(tmp_path / "poor")
    poor.root.mkdir()
    poor.venv.symlink_to(home.venv)
    given = tmp_path / "given"
    given.mkdir()
    for path in sorted(home.checkpoints.glob("*.ckpt"))[:2]:
        (given / path.name).write_bytes(path.read_bytes())
    fill(poor, given=given)
    assert not poor.has_random_weights
    assert hawkears2.identify(settings_for(poor, models=2)).version == "2.3.0+2"
    with pytest.raises(ConfigInvalid, match="models is 3, but only 2"):
        hawkears2.identify(settings_for(poor))


@pytest.mark.soak
def test_networks_come_out_of_a_zip_file(home: HawkEarsHome, tmp_path: Path) -> None:
    other = HawkEarsHome(tmp_path / "other")
    other.root.mkdir()
    other.venv.symlink_to(home.venv)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for path in home.checkpoints.glob("*.ckpt"):
            archive.write(path, f"main-models/{path.name}")
    fill(other, given=tmp_path / "mine.zip")
    assert [path.name for path in other.networks(HawkEarsSettings(models=6))] == [
        path.name for path in home.networks(HawkEarsSettings(models=6))
    ]
    with pytest.raises(ConfigInvalid, match="no networks could be copied"):
        fill(other, given=home.data_root / "yaml")


@pytest.mark.soak
def test_an_official_archive_that_was_damaged_is_refused(
    home: HawkEarsHome, tmp_path: Path
) -> None:
    other = HawkEarsHome(tmp_path / "other")
    other.root.mkdir()
    other.venv.symlink_to(home.venv)
    damaged = tmp_path / "main-models-2.3.0.zip"
    with zipfile.ZipFile(damaged, "w") as archive:
        archive.writestr("main-models/net.ckpt", b"not what it was")
    with pytest.raises(ConfigInvalid, match="integrity"):
        fill(other, given=damaged)
    assert not list(other.checkpoints.glob("*.ckpt"))


def test_random_networks_never_replace_real_ones(home: HawkEarsHome, tmp_path: Path) -> None:
    other = HawkEarsHome(tmp_path / "other")
    other.checkpoints.mkdir(parents=True)
    other.venv.symlink_to(home.venv)
    (other.checkpoints / "real.ckpt").write_bytes(b"real")
    with pytest.raises(ConfigInvalid, match="real networks are in"):
        add_random_networks(other)
    assert (other.checkpoints / "real.ckpt").read_bytes() == b"real"


@pytest.mark.soak
def test_where_networks_cannot_be_downloaded_the_error_says_what_to_fetch(
    home: HawkEarsHome, tmp_path: Path, monkeypatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    other = HawkEarsHome(tmp_path / "other")
    other.root.mkdir()
    other.venv.symlink_to(home.venv)
    with pytest.raises(DetectorMissing) as failure:
        fill(other)
    assert "main-models-2.3.0.zip" in failure.value.remedy
    assert "badc hawkears install --checkpoints FOLDER" in failure.value.remedy


@pytest.mark.soak
def test_installing_again_changes_nothing(home: HawkEarsHome) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.checkpoints.iterdir()}
    stamp_ns = home.stamp.stat().st_mtime_ns
    cuda = json.loads(home.stamp.read_text())["cuda"]
    lines: list[str] = []
    install_environment(home, cuda=cuda, report=lines.append)
    add_random_networks(home)
    assert "installed already" in lines[0]
    assert {path: path.stat().st_mtime_ns for path in home.checkpoints.iterdir()} == before
    assert home.stamp.stat().st_mtime_ns == stamp_ns


@pytest.mark.soak
def test_a_package_that_cannot_be_fetched_leaves_nothing_taken_for_good(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    home = HawkEarsHome(tmp_path / "new")
    with pytest.raises(DetectorMissing, match="a package could not be installed"):
        install(home, cuda=False, checkpoints=None, report=lambda _: None)
    assert not home.stamp.exists()
    with pytest.raises(DetectorMissing, match="not installed completely"):
        home.version()


@pytest.mark.soak
def test_the_check_finds_that_loaded_and_left_alone_agree(home: HawkEarsHome) -> None:
    result = check(settings_for(home))
    assert result.agree
    assert len(result.kept) > 10
    assert result.hello["versions"]["hawkears"] == "2.3.0"
    assert len(result.hello["networks"]) == 3


def test_a_check_notices_a_difference(detector: hawkears2.HawkEars, soundscape: Path) -> None:
    found = detect_with_loaded(detector, soundscape)
    assert agree(found, list(found))
    assert not agree(found, found[1:])
    start_s, end_s, code, score = found[0]
    assert not agree(found, [(start_s, end_s, code, score - 0.01), *found[1:]])


def test_hawkears_tells_its_own_memory(detector: hawkears2.HawkEars, soundscape: Path) -> None:
    detect(detector, soundscape, chunks_of(soundscape, duration_s=12.0)[0])
    report = detector.report()
    assert report is not None
    status = Path(f"/proc/{pid_of(detector)}/status").read_text()
    held_mib = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    assert report.peak_rss_mib == pytest.approx(held_mib, rel=0.05)
    assert held_mib > 200


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="missing: RLIMIT_DATA of Linux")
def test_a_probe_counts_hawkears_with_the_process_that_asks_it(
    home: HawkEarsHome, soundscape: Path
) -> None:
    measured = measure_in_child(soundscape, settings_for(home), MemoryLimit(8000.0))(12.0)
    assert measured.is_ok
    assert (measured.peak_rss_mib or 0) > 300
    short = measure_in_child(soundscape, settings_for(home), MemoryLimit(400.0))(12.0)
    assert not short.is_ok
    assert "out of memory" in short.reason


@pytest.mark.soak
def test_random_networks_are_warned_of_once_a_load(
    home: HawkEarsHome, caplog: pytest.LogCaptureFixture
) -> None:
    hawkears2.load(settings_for(home)).close()
    (warning,) = [
        one for one in caplog.records if one.name == "badc_core.detectors.hawkears.hawkears2"
    ]
    assert "2.3.0+3.random: its networks have random weights" in warning.getMessage()


def test_the_labels_are_known_without_starting_it(
    home: HawkEarsHome, detector: hawkears2.HawkEars
) -> None:
    told = [Label(name, code, sci) for code, name, sci in detector.hello["classes"]]
    assert list(hawkears2.labels(settings_for(home))) == told
    assert Label("Barred Owl", "BAOW", "Strix varia") in told


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_a_chunk_of_one_window_is_analysed_and_silence_is_no_failure(
    detector: hawkears2.HawkEars, tmp_path: Path, rate_hz: int
) -> None:
    path = tmp_path / "still.wav"
    for n_samples in (3 * rate_hz, 3 * rate_hz + 1, 4 * rate_hz):
        sf.write(path, np.zeros(n_samples), rate_hz)
        detect(detector, path, Chunk("still", 0, n_samples, 0, rate_hz))
        report = detector.report()
        assert report is not None
        assert report.notes == ()


@pytest.mark.soak
def test_no_answer_for_a_chunk_that_is_long_enough_is_a_failure(
    home: HawkEarsHome, soundscape: Path, tmp_path: Path
) -> None:
    silent = wrapped(
        home,
        tmp_path / "silent",
        "import hawkears.core.analyzer as it\n"
        "run = it.Analyzer.run\n"
        "def run_in_vain(self, path, *arguments, **named):\n"
        "    result = run(self, path, *arguments, **named)\n"
        "    if 'warm-up' not in str(path):\n"
        "        self.result_dataframes = []\n"
        "    return result\n"
        "it.Analyzer.run = run_in_vain\n",
    )
    detector = hawkears2.load(settings_for(silent))
    try:
        with pytest.raises(DetectorFailed, match="gave no table for 12 s"):
            detect(detector, soundscape, chunks_of(soundscape, duration_s=12.0)[0])
        rate_hz = 48_000
        detect(detector, soundscape, Chunk("rec", 0, 2 * rate_hz, 0, rate_hz))
        report = detector.report()
        assert report is not None
        assert "too short" in report.notes[-1]
    finally:
        detector.close()


def test_checkpoints_that_are_not_there_are_refused_before_anything_is_installed(
    tmp_path: Path,
) -> None:
    home = HawkEarsHome(tmp_path / "new")
    with pytest.raises(ConfigInvalid, match="no such folder or file"):
        install(home, cuda=False, checkpoints=tmp_path / "none", report=lambda _: None)
    assert not home.root.exists()


@pytest.mark.soak
def test_networks_that_are_copied_replace_random_ones(home: HawkEarsHome, tmp_path: Path) -> None:
    other = HawkEarsHome(tmp_path / "other")
    shutil.copytree(home.root, other.root, symlinks=True)
    assert other.has_random_weights
    given = tmp_path / "given"
    given.mkdir()
    (given / "real.ckpt").write_bytes(b"real")
    fill(other, given)
    assert [path.name for path in other.checkpoints.iterdir()] == ["real.ckpt"]
    assert not other.has_random_weights
