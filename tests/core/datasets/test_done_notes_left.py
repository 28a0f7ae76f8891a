"""Notes of work by hand: left by commands, one file each, and never in the way of the work."""

import json
import shlex
import subprocess
import sys

import pytest
from support.commands import run_badc
from support.forbidden import forbidden
from support.sounds import write_tone

from badc_core.datasets.done_notes import (
    describe_command,
    leave_note,
    list_notes,
    notes_folder,
    read_note,
)

WRITER = """
import sys
from pathlib import Path
from badc_core.datasets.done_notes import leave_note, list_notes, read_note
note = read_note(Path(sys.argv[2]))
for number in range(50):
    leave_note(Path(sys.argv[1]), note.model_copy(update={"chunks": number}))
"""


@pytest.fixture
def root(tmp_path):
    """Returns a dataset of two recordings, six seconds each."""
    folder = tmp_path / "l'été; $(touch x)"
    for number, name in enumerate("ab"):
        write_tone(folder / "audio" / "S" / f"{name}.wav", 6.0, number)
    (folder / "badc.toml").write_text('[detector]\nname = "band_energy"\n')
    return folder


def badc(root, *words, code=0):
    return run_badc(*words, folder=root, code=code)


def cut(root, name="a", *words, code=0):
    audio = f"audio/S/{name}.wav"
    return badc(root, "chunk", "run", "--chunk-duration", 3, *words, audio, code=code)


def infer(root, *words, name="a", code=0):
    manifest = f"artifacts/chunks/{name}/{name}.csv"
    return badc(root, "infer", "run", manifest, "--cpu-workers", 1, *words, code=code)


def take(root):
    """Returns the notes that were left since the last call."""
    paths = list_notes(root)
    notes = [read_note(path) for path in paths]
    for path in paths:
        path.unlink()
    return notes


def test_each_recording_leaves_one_note_of_what_was_done(root):
    cut(root)
    (note,) = take(root)
    assert (note.kind, note.recording_id, note.chunks, note.written) == ("chunk_files", "a", 2, 2)
    typed = "badc chunk run --chunk-duration 3 audio/S/a.wav"
    assert note.command == f"cd {shlex.quote(str(root))} && {typed}"
    assert (note.folder, note.manifest) == ("artifacts/chunks/a", "artifacts/chunks/a/a.csv")
    assert (note.error, note.slurm_job) == ("", "")
    infer(root)
    (note,) = take(root)
    assert (note.kind, note.chunks, note.failed, note.skipped) == ("chunk_detections", 2, 0, 0)
    assert (note.audio_s, note.folder) == (pytest.approx(6.0), "artifacts/infer/a")
    assert note.started_at < note.finished_at
    assert (root / note.telemetry).is_file()


def test_where_nothing_was_done_no_note_is_left(root):
    cut(root)
    infer(root)
    take(root)
    cut(root)
    infer(root)
    assert take(root) == []
    (root / "artifacts/infer/a").joinpath("a_chunk_3000_6000.json").unlink()
    infer(root)
    assert [one.skipped for one in take(root)] == [2]


def test_no_note_is_tracked_and_none_is_left_outside_of_a_dataset(root, tmp_path):
    cut(root)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    status = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=root, capture_output=True, check=True
    )
    assert b".badc" not in status.stdout
    alone = tmp_path / "alone"
    write_tone(alone / "x.wav", 6.0)
    badc(alone, "chunk", "run", "--chunk-duration", 3, "x.wav")
    assert not list(alone.rglob("done"))


def test_a_failure_says_why(root):
    cut(root)
    take(root)
    infer(root, "--runner-cmd", "false", "--max-retries", 0, code=1)
    (note,) = take(root)
    assert (note.failed, note.chunks) == (2, 2)
    assert note.error.startswith("2 of 2 chunks failed. a_chunk_0_3000: ")
    (root / "audio/S/b.wav").write_bytes(b"no sound")
    cut(root, "b", code=1)
    assert "b.wav" in take(root)[0].error


def test_failures_that_are_tolerated_are_none(root):
    cut(root)
    take(root)
    tolerant = ("--set", "inference.max_failed_fraction=1", "--max-retries", 0)
    infer(root, "--runner-cmd", "false", *tolerant)
    assert [(one.failed, one.error) for one in take(root)] == [(2, "")]


def test_a_run_that_stops_at_the_first_failure_says_so(root):
    write_tone(root / "audio" / "S" / "a.wav", 60.0)
    cut(root)
    assert take(root)[0].chunks == 20
    first = ("--set", "inference.fail_fast=true", "--max-retries", 0)
    infer(root, "--runner-cmd", "false", *first, code=1)
    (note,) = take(root)
    assert note.error.startswith("not finished: ")
    assert 0 < note.failed < note.chunks == 20


def test_eight_processes_leave_notes_at_once(root):
    cut(root)
    (first,) = list_notes(root)
    words = [sys.executable, "-c", WRITER, root, first]
    started = [subprocess.Popen(words) for _ in range(8)]
    assert [one.wait() for one in started] == [0] * 8
    first.unlink()
    numbers = [one.chunks for one in take(root)]
    assert sorted(numbers) == sorted(8 * list(range(50)))
    assert list(notes_folder(root).iterdir()) == []


def test_where_no_note_can_be_written_the_work_goes_on_with_one_warning(root, tmp_path, caplog):
    (root / ".badc").mkdir()
    with forbidden(root / ".badc"):
        for name in "ab":
            cut(root, name, "--output-dir", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "b" / "b.csv").is_file()
    warnings = [one for one in caplog.messages if "will not show" in one]
    assert len(warnings) == 1
    assert ".badc" in warnings[0]


def test_a_note_is_readable_whatever_was_typed(root, monkeypatch):
    cut(root)
    (note,) = take(root)
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setattr(sys, "argv", ["/x/bin/badc", "infer", "--set", "x_token=k3y", "a\udcff b"])
    monkeypatch.chdir(root)
    assert describe_command()["command"].endswith(" && badc infer --set x_token=*** 'a\ufffd b'")
    odd = note.model_copy(update={"recording_id": "été \u2028 'x'", "command": "a"})
    leave_note(root, odd)
    assert take(root) == [odd]
    cut(root, "b")
    written = list_notes(root)
    assert json.loads(written[0].read_text())["slurm_job"] == "5"
