"""A manifest's recordings are held one by one, and those of other runs are left to these."""

import csv
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import BADC, run_typed
from support.sounds import write_tone

from badc_core.cli.infer import infer
from badc_core.cli.run_options import RunOptions
from badc_core.engine.protocol import ChunkResult
from badc_core.errors import OutputUnwritable, RecordingBusy
from badc_core.inference.chunk_sink import ChunkSink
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.manifest_runs import run_manifest
from badc_core.inference.recording_run import STAGE, PlannedChunk
from badc_core.stages.work import Work

N_MANY = 150


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns an empty dataset for band_energy."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "badc.toml").write_text('[detector]\nname = "band_energy"\n')
    return tmp_path


def make_manifest(root: Path, *recording_ids: str) -> Path:
    """Returns a manifest of a chunk of each recording."""
    path = root / "manifests" / "all.csv"
    path.parent.mkdir()
    columns = ("recording_id", "chunk_id", "source_path", "start_ms", "end_ms", "overlap_ms")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*columns, "sha256", "notes"])
        for one in recording_ids:
            write_tone(root / "audio" / f"{one}.wav", 3.0)
            chunk = (f"{one}_chunk_0_3000", f"audio/{one}.wav", 0, 3000, 0, "TODO_HASH", "")
            rows.writerow([one, *chunk])
    return path


def test_what_another_run_is_at_work_on_costs_no_other_recording(root):
    manifest = make_manifest(root, "a", "b", "c")
    words = ("run", manifest, "--cpu-workers", 1, "--telemetry-log", root / "log.jsonl")
    output = root / "artifacts" / "infer"
    with Work(root / ".badc").analysing("b"):
        refused = run_typed(infer, *words, "--max-failed-fraction", 1, code=1)
    assert "1 of 3 chunks failed:" in refused.stderr
    assert "another run is at work on this recording. Let that end" in refused.stderr
    assert sorted(path.name for path in output.iterdir()) == ["a", "c"]
    assert "1 ok, 0 failed, 2 skipped" in run_typed(infer, *words).stdout
    assert Work(root / ".badc").dirty(STAGE) == set()


def test_a_recording_that_was_dirty_stays_so_for_the_assets(root):
    manifest = make_manifest(root, "a", "b")
    Work(root / ".badc").begin(STAGE, "a").leave()
    run_typed(infer, "run", manifest, "--cpu-workers", 1)
    assert Work(root / ".badc").dirty(STAGE) == {"a"}


def test_recordings_that_a_manifest_run_analyses_stay_finished_for_the_assets(root, monkeypatch):
    manifest = make_manifest(root, "a", "b")
    dirty: list[set[str]] = []
    busy: list[str] = []
    sees = ChunkSink.write

    def look(sink: ChunkSink, number: int, chunk: PlannedChunk, result: ChunkResult) -> None:
        recording_id = result.chunk.recording_id
        dirty.append(Work(root / ".badc").dirty(STAGE))
        try:
            with Work(root / ".badc").analysing(recording_id):
                pass
        except RecordingBusy:
            busy.append(recording_id)
        sees(sink, number, chunk, result)

    monkeypatch.setattr(ChunkSink, "write", look)
    run_typed(infer, "run", manifest, "--cpu-workers", 1)
    assert dirty == [set(), set()]
    assert sorted(busy) == ["a", "b"]


def test_a_run_that_fails_leaves_its_other_recordings_to_others(root, monkeypatch):
    run = ManifestRun(RunOptions(manifest=make_manifest(root, "a", "b"), cpu_workers=1).order())
    written: list[str] = []

    def fail(sink: ChunkSink, number: int, chunk: PlannedChunk, result: ChunkResult) -> None:
        written.append(result.chunk.recording_id)
        raise OutputUnwritable("it is read-only", "artifacts", "Make it writable")

    monkeypatch.setattr(ChunkSink, "write", fail)
    with pytest.raises(OutputUnwritable):
        run_manifest(run)
    assert len(written) == 1
    with Work(root / ".badc").analysing("a"), Work(root / ".badc").analysing("b"):
        pass


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_recording_s_place_of_work_does_not_depend_on_how_the_output_is_named(root, is_linked):
    manifest = make_manifest(root, "a")
    named = root / "linked" if is_linked else root / "out"
    (root / "out").mkdir()
    if is_linked:
        named.symlink_to("out")
    words = ("run", manifest, "--cpu-workers", 1, "--output-dir")
    with Work(root / "out" / ".badc").analysing("a"):
        for folder in (named, named / "a"):
            assert "another run" in run_typed(infer, *words, folder, code=1).stderr
    with Work(root / ".badc").analysing("a"):
        run_typed(infer, *words, root / "artifacts" / "infer" / "a", code=1)
        run_typed(infer, *words, named)


def test_a_run_that_could_begin_nothing_leaves_nothing(root):
    manifest = make_manifest(root, "a")
    log = root / "log.jsonl"
    with Work(root / ".badc").analysing("a"):
        run_typed(infer, "run", manifest, "--telemetry-log", log, code=1)
    assert list(root.glob("log*")) == []
    assert not (root / "artifacts" / "infer").exists()


def test_more_recordings_than_files_may_be_open(root):
    manifest = make_manifest(root, *(f"rec_{number}" for number in range(N_MANY)))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = (N_MANY // 2, most)
    command = [BADC, "infer", "run", manifest, "--cpu-workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(limit[0]), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert f"{N_MANY} ok, 0 failed" in done.stdout


_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_a_log_of_its_own_is_free_again_however_the_run_ends(root, end):
    manifest = make_manifest(root, "a")
    spec = RunOptions(manifest=manifest, telemetry_log=root / "log.jsonl").order()
    spec = replace(spec, owns_log=True)
    run = ManifestRun(spec)
    next(run.recordings())
    with pytest.raises(RecordingBusy):
        next(ManifestRun(spec).recordings())
    getattr(run, end)()
    assert not (root / ".log.jsonl.lock").exists()
    next(ManifestRun(spec).recordings())
