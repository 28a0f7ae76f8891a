"""A manifest is read whatever happened to its files, and nothing of it is lost."""

import json
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.forbidden import forbidden
from support.forked import fork
from support.locks import refuse_locks

from badc_core import locks
from badc_core.jobs import (
    PipelineManifest,
    StageManifest,
    find_stages_to_repeat,
    is_stage_completed,
    load_manifest,
)
from badc_core.jobs.values import read_time

FOREIGN = {
    "version": "1.0.0",
    "movie_dir": "/app/Movie",
    "created_at": "2024-10-29T20:00:00",
    "job_id": "20241029-003",
    "stages": {
        "demux": {
            "status": "success",
            "started_at": "2024-10-29T20:00:00",
            "completed_at": "2024-10-29T20:01:30",
            "outputs": {"audio": {"path": "/app/Movie/audio.wav", "exists": True, "size_bytes": 5}},
        }
    },
    "pipeline": {
        "status": "running",
        "current_stage": "asr",
        "completed_stages": ["demux", "tmdb"],
        "failed_stages": [],
    },
    "device": {"asr": "cuda"},
}


def _folder_in_place(path: Path) -> None:
    path.unlink()
    (path / "something").mkdir(parents=True)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "not a dict": lambda path: path.write_text("[1, 2]"),
    "wrong types": lambda path: path.write_text(
        '{"stages": [], "pipeline": 3, "status": 1, "steps": 5}'
    ),
    "wrong types within": lambda path: path.write_text(
        '{"stages": {"asr": 1}, "pipeline": {"completed_stages": 7}, "status": [], "steps": [3]}'
    ),
    "wrong names": lambda path: path.write_text(
        '{"pipeline": {"failed_stages": [[1]]}, "steps": {"a": 1}}'
    ),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "a huge number": lambda path: path.write_text('{"stages": ' + "1" * 5000 + "}"),
    "a folder": _folder_in_place,
}
FILES = ["manifest.json", "pipeline.json", "stages/asr.json", "job_info.json"]


@pytest.fixture
def folder(movie_dir) -> Path:
    """Returns a folder with two stages, one of which failed, and an orchestrator's part."""
    PipelineManifest(movie_dir / "manifest.json").set_input("in/movie.mp4", "Inception", 2010)
    with StageManifest("asr", movie_dir) as manifest:
        manifest.add_metadata("words", 17)
    with pytest.raises(ValueError, match="no"), StageManifest("mux", movie_dir):
        raise ValueError("no")
    (movie_dir / "job_info.json").write_text('{"job_id": "20251030-001", "user_id": 1}')
    StageManifest("last", movie_dir).save()
    return movie_dir


def _without_job(manifest: dict) -> dict:
    return {key: one for key, one in manifest.items() if key not in ("job_id", "user_id")}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_loses_nothing_and_its_remains_are_kept(
    folder, name, damage, caplog
) -> None:
    before = load_manifest(folder)
    damage(folder / name)
    found = load_manifest(folder)
    assert found is not None
    assert (f"{folder / name} is damaged" in caplog.text) == (name != "job_info.json")
    if name == "job_info.json":
        found, before = _without_job(found), _without_job(before)
    if name == "pipeline.json":
        before["updated_at"] = found["updated_at"]
    assert found == before
    with StageManifest("asr", folder):
        pass
    assert json.loads((folder / "manifest.json").read_text()) == load_manifest(folder)
    assert load_manifest(folder)["stages"]["asr"]["attempt"] == 2
    assert is_stage_completed(folder, "asr")
    remains = list(folder.rglob("*.damaged-*"))
    assert len(remains) == (name != "job_info.json")


@pytest.mark.parametrize("name", ["manifest.json", "pipeline.json", "stages/asr.json"])
def test_a_file_that_cannot_be_read_is_set_aside(folder, name) -> None:
    before = load_manifest(folder)
    with forbidden(folder / name):
        found = load_manifest(folder)
        before["updated_at"] = found["updated_at"]
        assert found == before
        StageManifest("asr", folder).save()
        assert load_manifest(folder)["stages"]["asr"]["attempt"] == 2
        assert len(list(folder.rglob("*.damaged-*"))) == 1


def test_a_manifest_without_keys_is_filled(folder) -> None:
    before = load_manifest(folder)
    (folder / "manifest.json").write_text("{}")
    assert load_manifest(folder) == before


def test_a_manifest_that_was_deleted_is_written_again(folder) -> None:
    before = load_manifest(folder)
    (folder / "manifest.json").unlink()
    assert load_manifest(folder) == before
    assert json.loads((folder / "manifest.json").read_text()) == before


def test_there_is_no_manifest_where_there_is_none(tmp_path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        assert load_manifest(place) is None
        assert not is_stage_completed(place, "demux")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_damaged_manifest_of_which_nothing_is_left_is_begun_again(tmp_path) -> None:
    (tmp_path / "manifest.json").write_text('{"stages": {"demux"')
    assert load_manifest(tmp_path) is None
    assert [one.read_text() for one in tmp_path.glob("*.damaged-*")] == ['{"stages": {"demux"']
    StageManifest("asr", tmp_path).save()
    assert is_stage_completed(tmp_path, "asr")


def test_a_folder_of_others_is_read_all_the_same(folder, caplog) -> None:
    before = load_manifest(folder)
    (folder / "manifest.json").write_text("{")
    (folder / ".manifest.lock").unlink()
    mode = folder.stat().st_mode
    with forbidden(folder):
        folder.chmod(0o555)
        assert load_manifest(folder) == before
    assert folder.stat().st_mode == mode
    assert "cannot be repaired" in caplog.text


def test_without_locks_nothing_is_lost(movie_dir, monkeypatch) -> None:
    monkeypatch.setattr(locks.fcntl, "flock", refuse_locks)
    for name in ("a", "b"):
        StageManifest(name, movie_dir).save()
    assert load_manifest(movie_dir)["pipeline"]["completed_stages"] == ["a", "b"]


def test_a_manifest_of_an_earlier_tool_is_taken_over(tmp_path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(FOREIGN))
    for _ in range(2):
        found = load_manifest(tmp_path)
        assert found["stages"]["demux"].items() >= FOREIGN["stages"]["demux"].items()
        assert {*found["pipeline"]["completed_stages"]} >= {"demux", "tmdb"}
        assert found["created_at"] == FOREIGN["created_at"]
        assert (found["job_id"], found["device"]) == (FOREIGN["job_id"], FOREIGN["device"])
        StageManifest("asr", tmp_path).save()
        (tmp_path / "manifest.json").write_text("damaged")
    assert list(find_stages_to_repeat(tmp_path)) == ["demux"]
    (tmp_path / "audio.wav").write_bytes(b"sound")
    assert find_stages_to_repeat(tmp_path) == {}
    assert load_manifest(tmp_path)["pipeline"]["completed_stages"][-1] == "asr"


def test_times_without_an_offset_are_local(monkeypatch) -> None:
    monkeypatch.setenv("TZ", "America/Edmonton")
    time.tzset()
    try:
        assert read_time("2024-07-01T12:00:00") == datetime(2024, 7, 1, 18, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read_time("2024-07-01T12:00:00+02:00") == datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert read_time("yesterday") == read_time(None) < read_time("1990-01-01T00:00:00")


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["demux", "asr", "mux"]),
        st.sampled_from(["running", "success", "failed", "skipped", "step", "finalize"]),
    ),
    max_size=8,
)


@given(events=_EVENTS, as_job=st.booleans())
def test_what_is_rebuilt_is_what_was_joined(tmp_path_factory, events, as_job) -> None:
    folder = tmp_path_factory.mktemp("job")
    orchestrator = PipelineManifest(folder / "manifest.json")
    if as_job:
        orchestrator.set_input("in/movie.mp4")
    for stage, event in events:
        if event == "step":
            orchestrator.set_pipeline_step(stage, completed=True, status="success")
        elif event == "finalize":
            orchestrator.finalize("failed")
        elif event == "running":
            StageManifest(stage, folder)
        else:
            StageManifest(stage, folder).save(event)
    if not events and not as_job:
        assert load_manifest(folder) is None
        return
    joined = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text("damaged")
    assert load_manifest(folder) == joined
    assert json.loads((folder / "manifest.json").read_text()) == joined


_NAMES = """
    stages pipeline timing status current_stage completed_stages steps input asr mux started_at
    completed_at created_at updated_at at job_id outputs input_files path exists size_bytes sha256
    n_files attempt enabled completed error finished more job adopted folder movie_dir output_dir
"""
_KEYS = st.sampled_from(_NAMES.split())
_VALUES = st.recursive(
    st.sampled_from(
        ["success", "running", "failed", "2024-10-29T20:00:00", "asr", "", None, 0, -1.5]
    )
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)
_RECORDS = st.fixed_dictionaries({"status": st.just("success")}, optional={"outputs": _VALUES})
_MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        "stages": st.dictionaries(_KEYS, _RECORDS | _VALUES, max_size=2) | _VALUES,
        "pipeline": st.dictionaries(_KEYS, _VALUES, max_size=5) | _VALUES,
        "steps": st.dictionaries(_KEYS, st.dictionaries(_KEYS, _VALUES, max_size=5), max_size=2),
        "finished": st.dictionaries(_KEYS, _VALUES, max_size=3),
        "status": _VALUES,
        "outputs": st.dictionaries(_KEYS, st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=2),
        "input_files": _VALUES,
        "attempt": _VALUES,
        "timing": st.dictionaries(_KEYS, _VALUES, max_size=3),
        "current_stage": _VALUES,
        "created_at": _VALUES,
        "folder": _VALUES,
    },
)


@example(
    name="stages/asr.json",
    content={
        "status": "success",
        "folder": [1],
        "outputs": {"a": {"path": [], "n_files": "x"}},
        "input_files": [{"path": [1]}, 7],
    },
    is_alone=True,
)
@given(name=st.sampled_from(FILES), content=_MANIFESTS | _VALUES, is_alone=st.booleans())
def test_whatever_a_file_says_the_manifest_is_read(
    tmp_path_factory, name, content, is_alone
) -> None:
    folder = tmp_path_factory.mktemp("job")
    if not is_alone:
        StageManifest("mux", folder).save()
    (folder / "stages").mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    load_manifest(folder)
    find_stages_to_repeat(folder)
    PipelineManifest(folder / "manifest.json").set_pipeline_step("asr")
    StageManifest("asr", folder).save()
    assert is_stage_completed(folder, "asr")
    assert is_alone or is_stage_completed(folder, "mux")


def _write_for_ever(folder: Path) -> None:
    orchestrator = PipelineManifest(folder / "manifest.json")
    while True:
        for name in ("asr", "mux"):
            StageManifest(name, folder).save()
            orchestrator.set_pipeline_step(name, completed=True)


def _kill_while_writing(folder: Path, chance: random.Random) -> None:
    """Kills a process in the middle of recording stages, and looks at what it left."""
    attempt = load_manifest(folder)["stages"].get("mux", {}).get("attempt", 0)
    pid = fork(lambda: _write_for_ever(folder))
    while load_manifest(folder)["stages"].get("mux", {}).get("attempt", 0) == attempt:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.05))
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    path = folder / "manifest.json"
    assert isinstance(json.loads(path.read_text()), dict)
    assert list(folder.rglob("*.damaged-*")) == []


def _kill_often(folder: Path, n_kills: int) -> None:
    chance = random.Random(17)
    with StageManifest("demux", folder) as manifest:
        manifest.add_metadata("kept", True)
    for _ in range(n_kills):
        _kill_while_writing(folder, chance)
        assert load_manifest(folder)["stages"]["demux"]["metadata"] == {"kept": True}
        assert is_stage_completed(folder, "demux")
    StageManifest("asr", folder).save()
    assert list(folder.rglob("*.part")) == []
    assert json.loads((folder / "manifest.json").read_text()) == load_manifest(folder)


def test_kills_at_any_moment_leave_a_good_manifest(movie_dir) -> None:
    _kill_often(movie_dir, 8)


@pytest.mark.soak
def test_fifty_kills_at_any_moment_leave_a_good_manifest(movie_dir) -> None:
    _kill_often(movie_dir, 50)
