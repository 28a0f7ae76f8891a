import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from badc_core.errors import StorageFull
from badc_core.telemetry.log import SCHEMA_VERSION, TelemetryLog, read_events


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
            assert len(read_events(log.path)) == number + 1


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
    events = [json.loads(line) for line in path.read_text().splitlines()]
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
