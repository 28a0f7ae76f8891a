import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.telemetry import read_events

from badc_core.errors import StorageFull
from badc_core.telemetry.live import newest_part
from badc_core.telemetry.log import (
    SCHEMA_VERSION,
    Tail,
    TelemetryLog,
    is_something_else,
    read_last_events,
)


def write(path: Path, *events: dict) -> None:
    with TelemetryLog(path) as log:
        for event in events:
            log.append(**event)


def test_events_are_read_back_with_schema_and_time_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "infer" / "l'été.jsonl"
    before = datetime.now(UTC)
    write(path, {"chunk_id": "a", "error": "é\n\x85\u2028"}, {"chunk_id": "b", "error": None})
    first, second = read_events(path)
    stamped = datetime.fromisoformat(first.pop("timestamp"))
    assert before <= stamped <= before + timedelta(minutes=5)
    assert stamped.utcoffset() == timedelta(0)
    assert first == {"schema": SCHEMA_VERSION, "chunk_id": "a", "error": "é\n\x85\u2028"}
    assert second["chunk_id"] == "b"


def test_a_log_without_events_makes_no_file(tmp_path: Path) -> None:
    with TelemetryLog(tmp_path / "none.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_later_run_adds_to_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, {"n": 1})
    write(path, {"n": 2})
    assert [event["n"] for event in read_events(path)] == [1, 2]


def test_every_event_is_there_as_soon_as_it_is_added(tmp_path: Path) -> None:
    with TelemetryLog(tmp_path / "log.jsonl") as log:
        for number in range(3):
            log.append(n=number)
            assert len(read_events(newest_part(log.path))) == number + 1


@pytest.mark.parametrize("n_bytes", [1, 10, 40, -2, -1])
def test_a_torn_last_line_is_left_out(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "log.jsonl"
    write(path, {"n": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:n_bytes])
    assert [event["n"] for event in read_events(path)] == [1]


@pytest.mark.parametrize("n_bytes", [1, 10, 40, -2])
def test_what_follows_a_torn_line_is_not_lost(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "log.jsonl"
    write(path, {"n": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:n_bytes])
    write(path, {"n": 2}, {"n": 3})
    assert [event["n"] for event in read_events(path)] == [1, 2, 3]


_APPEND = """
import sys
from pathlib import Path
from badc_core.telemetry.log import TelemetryLog
with TelemetryLog(Path(sys.argv[1])) as log:
    sys.stdin.readline()
    for number in range(300):
        log.append(writer=sys.argv[2], n=number, text="x" * (number * 7 % 3000))
"""


def test_several_processes_may_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _APPEND, str(path), str(writer)], stdin=subprocess.PIPE
        )
        for writer in range(4)
    ]
    for process in writers:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    # One that opens the log while another writes may begin with an empty line.
    events = [json.loads(line) for line in path.read_text().splitlines() if line]
    for writer in range(4):
        own = [event["n"] for event in events if event["writer"] == str(writer)]
        assert own == list(range(300))
    assert len(read_events(path)) == 1200


def test_a_full_disk_is_called_one(lacking) -> None:
    full = Path("/dev/full")
    if not full.exists():
        lacking(str(full))
    with pytest.raises(StorageFull, match="no space left"), TelemetryLog(full) as log:
        log.append(n=1)


def test_the_log_is_not_passed_on_to_other_programs(tmp_path: Path) -> None:
    with TelemetryLog(tmp_path / "log.jsonl") as log:
        log.append(n=1)
        assert log._descriptor is not None
        assert not os.get_inheritable(log._descriptor)


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from badc_core.telemetry.live import live_path
from badc_core.telemetry.log import TelemetryLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
with TelemetryLog(Path(sys.argv[1])) as log:
    log.append(n=1, text="x" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (live_path(log.path).stat().st_size + 50, hard))
    for n in (2, 3):
        try:
            log.append(n=n, text="x" * 100)
        except OSError as error:
            print(n, error.strerror)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    log.append(n=4)
    log.append(n=5)
"""


def test_a_line_the_file_took_half_of_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    told = subprocess.check_output([sys.executable, "-c", _LIMITED, str(path)], text=True)
    assert told == "2 File too large\n3 File too large\n"
    assert [event["n"] for event in read_events(path)] == [1, 4, 5]
    torn = [line for line in path.read_bytes().splitlines() if not line.endswith(b"}")]
    assert len(torn) == 1
    assert torn[0].startswith(b'{"schema"')


def test_a_line_written_in_part_is_written_again_whole(tmp_path: Path, monkeypatch) -> None:
    # Patched, since a file that takes some of a line and then the rest cannot be had here.
    real_write, sizes = os.write, iter([20, 30])
    path = tmp_path / "log.jsonl"
    with TelemetryLog(path) as log:
        log.append(n=1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, line: real_write(fd, line[: next(sizes, None)]))
            log.append(n=2)
        log.append(n=3)
    assert [event["n"] for event in read_events(path)] == [1, 2, 3]


def grow(path: Path, *events: dict) -> None:
    """Adds lines to a file as a run does that has it open."""
    with path.open("ab") as file:
        file.writelines(json.dumps(one).encode() + b"\n" for one in events)


def numbers(tail: Tail) -> list[int]:
    return [event["n"] for event in tail.read()]


def test_a_tail_reads_every_event_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    assert numbers(tail) == []
    grow(path, {"n": 1}, {"n": 2})
    assert numbers(tail) == [1, 2]
    assert numbers(tail) == []
    grow(path, {"n": 3})
    assert numbers(tail) == [3]


def test_a_tail_goes_on_in_a_log_that_was_closed_and_so_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    for number in (1, 2):
        write(path, {"n": number})
        assert numbers(tail) == [number]


def test_a_tail_reads_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    grow(path, {"n": 1})
    tail = Tail(path)
    assert numbers(tail) == [1]
    # Same file, same length, other content: nobody looks there again.
    with path.open("r+b") as file:
        file.write(b"#" * (path.stat().st_size - 1))
    grow(path, {"n": 2})
    assert numbers(tail) == [2]


@pytest.mark.parametrize("n_bytes", [1, 10, 40, -1])
def test_a_tail_waits_for_the_end_of_a_line(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "log.jsonl"
    write(path, {"n": 1})
    line = path.read_bytes()
    tail = Tail(path)
    assert numbers(tail) == [1]
    with path.open("ab") as file:
        file.write(line[:n_bytes])
        file.flush()
        assert numbers(tail) == []
        file.write(line[n_bytes:])
    assert numbers(tail) == [1]


def test_a_tail_leaves_torn_lines_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2, "te\n\xff\xfe\n[1]\n17\n\n{"n": 3}\n')
    assert numbers(Tail(path)) == [1, 3]
    assert [event["n"] for event in read_last_events(path, 10)] == [1, 3]


def test_a_tail_reads_a_replaced_or_cut_log_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    grow(path, {"n": 1}, {"n": 2})
    tail = Tail(path)
    assert numbers(tail) == [1, 2]
    grow(tmp_path / "new.jsonl", {"n": 3}, {"n": 4}, {"n": 5})
    (tmp_path / "new.jsonl").replace(path)
    assert numbers(tail) == [3, 4, 5]
    path.write_bytes(b'{"n": 6}\n')
    assert numbers(tail) == [6]
    path.unlink()
    assert numbers(tail) == []
    grow(path, {"n": 7})
    assert numbers(tail) == [7]


@given(
    st.lists(st.integers(0, 300), max_size=30),
    st.integers(1, 40),
    st.integers(1, 64),
    st.integers(0, 60),
)
def test_blocks_of_any_size_give_the_same_events(sizes, limit, block_bytes, n_torn) -> None:
    lines = [json.dumps({"n": n, "text": "é" * size}) for n, size in enumerate(sizes)]
    torn = json.dumps({"n": -1, "text": "y" * 100})[:n_torn]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("badc_core.telemetry.log._BLOCK_BYTES", block_bytes)
        path = Path(folder) / "log.jsonl"
        path.write_text("".join(line + "\n" for line in lines) + torn, encoding="utf-8")
        expected = [json.loads(line) for line in lines]
        assert read_events(path) == expected
        assert list(Tail(path).read()) == expected
        assert read_last_events(path, limit) == expected[-limit:]


@pytest.mark.parametrize(
    ("content", "is_foreign"),
    [
        (b"", False),
        (b'{"schema": 2, "chunk_id": "a", "status": "start"}\n', False),
        (b'{"schema": 2, "chunk_', False),
        (b"my notes\n", True),
        (b'{"runner": 1}\n', True),
        (b"{\n", True),
        (b"[]\n", True),
    ],
)
def test_a_file_that_is_no_log_is_known_by_its_first_line(tmp_path, content, is_foreign) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert is_something_else(path) is is_foreign
    assert not is_something_else(tmp_path / "not there")
