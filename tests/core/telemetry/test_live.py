"""Where a log is while it is written, and what becomes of logs that version control has taken."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.telemetry import read_events

from badc_core.telemetry.live import live_path, newest_part
from badc_core.telemetry.log import NewestLog, Tail, TelemetryLog


def write(path: Path, *numbers: int) -> None:
    with TelemetryLog(path) as log:
        for number in numbers:
            log.append(n=number)


def numbers(path: Path) -> list[int]:
    return [event["n"] for event in read_events(path)]


def test_a_log_being_written_is_in_a_folder_that_git_passes_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with TelemetryLog(path) as log:
        log.append(n=1)
        assert numbers(newest_part(path)) == [1]
        assert not path.exists()
        assert (tmp_path / ".badc" / ".gitignore").read_text() == "*\n"
    assert numbers(path) == [1]
    assert newest_part(path) == path


@pytest.mark.parametrize("is_hard_link", [False, True])
def test_a_saved_log_is_added_to_without_a_change_of_what_was_saved(
    tmp_path: Path, is_hard_link: bool
) -> None:
    path, stored = tmp_path / "run.jsonl", tmp_path / "objects" / "key"
    write(stored, 1)
    if is_hard_link:
        path.hardlink_to(stored)
    else:
        path.symlink_to(stored)
    before = stored.read_bytes()
    write(path, 2)
    write(path, 3)
    assert numbers(path) == [1, 2, 3]
    assert not path.is_symlink()
    assert stored.read_bytes() == before


def test_the_last_of_several_writers_adds_the_lines_of_all(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path, 0)
    with TelemetryLog(path) as first:
        first.append(n=1)
        with TelemetryLog(path) as second:
            second.append(n=2)
        first.append(n=3)
        assert numbers(path) == [0]
    assert numbers(path) == [0, 1, 2, 3]


_WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from badc_core.telemetry.log import TelemetryLog
with TelemetryLog(Path(sys.argv[1])) as log:
    log.append(n=1)
    os.write(log._descriptor, b'{"n": 2, "te')
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_while_writing(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _WRITE_AND_DIE, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_run_wrote_is_added_by_the_next_run_with_any_log(tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    kill_while_writing(path)
    assert not path.exists()
    write(tmp_path / "next.jsonl", 7)
    assert numbers(path) == [1]
    assert path.read_bytes().endswith(b"\n")
    write(path, 3)
    assert numbers(path) == [1, 3]
    assert list(live_path(path).parent.iterdir()) == []


def test_lines_that_were_added_already_are_not_added_again(tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    kill_while_writing(path)
    live = live_path(path)
    with live.open("ab") as file:
        file.write(b"\n")
    # As if the run had been killed after it replaced the log.
    path.write_bytes(b'{"n": 0}\n' + live.read_bytes())
    write(tmp_path / "next.jsonl", 7)
    assert numbers(path) == [0, 1]
    assert not live.exists()


def test_a_log_that_cannot_be_replaced_keeps_its_new_lines_for_the_next_run(
    tmp_path: Path, caplog
) -> None:
    path = tmp_path / "run.jsonl"
    path.symlink_to("gone")
    write(path, 1)
    assert "newest lines of this log are in" in caplog.text
    assert numbers(newest_part(path)) == [1]
    (tmp_path / "gone").write_bytes(b'{"n": 0}\n')
    write(tmp_path / "next.jsonl", 7)
    assert numbers(path) == [0, 1]
    assert (tmp_path / "gone").read_bytes() == b'{"n": 0}\n'


def test_the_newest_log_is_read_where_it_is_being_written(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "telemetry" / "infer"
    write(folder / "old.jsonl", 0)
    os.utime(folder / "old.jsonl", (1, 1))
    newest = NewestLog(tmp_path)
    with TelemetryLog(folder / "run.jsonl") as log:
        log.append(n=1)
        assert newest.look() == live_path(log.path)
        assert [event["n"] for event in Tail(newest.look()).read()] == [1]
    assert newest.look() == log.path
