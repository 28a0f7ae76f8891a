import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from support.waiting import wait_until
from typer.testing import CliRunner

from badc_core.cli.monitor_tables import event_line, render_monitor
from badc_core.cli.telemetry import monitor, telemetry
from badc_core.errors import DatasetInvalid
from badc_core.telemetry.attempts import record
from badc_core.telemetry.log import NewestLog, TelemetryLog
from badc_core.telemetry.monitor import MonitorState, Seen, sparkline

ORIGINAL = {
    "chunk_id": "chunk_9",
    "gpu_index": 1,
    "gpu_name": "Quadro RTX 4000",
    "status": "success",
    "timestamp": "2025-12-10T10:00:00+00:00",
    "finished_at": "2025-12-10T10:00:30+00:00",
    "runtime_s": 30.5,
    "details": {
        "attempt": 2,
        "gpu_metrics": {
            "before": {"index": 1},
            "after": {"utilization": 7, "memory_used_mb": 5743},
        },
    },
}
"""A line as the original BADC wrote it."""


def write(path: Path, *attempts) -> Path:
    with TelemetryLog(path) as log:
        for one in attempts:
            log.append(**record(one))
    return path


def event(attempt, second: int = 0) -> dict:
    return {"timestamp": f"2026-05-01T06:00:{second:02d}+00:00", **record(attempt)}


def state_of(*events: dict, n_tail: int = 15) -> MonitorState:
    state = MonitorState(n_tail)
    for one in events:
        state.add(one)
    return state


def shown(state: MonitorState, width: int = 160, height: int | None = None) -> str:
    """Returns what is printed, or with a height what fits the screen."""
    console = Console(width=width, height=height, no_color=True)
    with console.capture() as capture:
        console.print(render_monitor(state, "run.jsonl", console, is_cut=height is not None))
    return capture.get()


def row(text: str, table: str, label: str) -> list[str]:
    """Returns the cells of a worker's row in one of the tables, two blanks apart."""
    lines = text[text.index(f"{table}  ") :].splitlines()
    found = next(line for line in lines if line.split()[:1] == [label])
    return re.split(r" {2,}", found.strip())


def test_attempts_are_counted_per_worker(attempt) -> None:
    state = state_of(
        event(attempt("a", "start")),
        event(attempt("a", runtime_s=2.0), 2),
        event(attempt("b", "failure", will_retry=True, runtime_s=1.0), 3),
        event(attempt("b", "failure", attempt=2, runtime_s=3.0), 6),
        event(attempt("c", on_gpu=True, runtime_s=4.0), 10),
    )
    text = shown(state)
    assert row(text, "Workers", "cpu-0") == [
        "cpu-0", "4", "1", "1", "1", "2", "2.00 s", "10.0",
    ]  # fmt: skip
    assert row(text, "Workers", "gpu-0") == [
        "gpu-0", "1", "1", "0", "0", "0", "4.00 s", "15.0",
    ]  # fmt: skip
    assert row(text, "Now", "cpu-0") == ["cpu-0", "-", "failure", "b", "06:00:06"]
    assert row(text, "Now", "gpu-0") == [
        "gpu-0", "NVIDIA Test 80GB", "success", "c", "06:00:10",
    ]  # fmt: skip
    assert (
        "3 chunks ended, 2 with a result, 1 failed, 1 retry, 2 min 00 s of sound in 10.0 s, "
        "12.0 x real time"
    ) in text


def test_devices_show_what_the_worker_used_not_what_everybody_did(attempt) -> None:
    state = state_of(event(attempt("a", on_gpu=True)), event(attempt("b")))
    text = shown(state)
    assert row(text, "Devices", "gpu-0") == [
        "gpu-0", "50/50/75", "VRAM 2.0 GiB", "▅", "█", "▁",
    ]  # fmt: skip
    assert row(text, "Devices", "cpu-0") == ["cpu-0", "-", "RSS 400 MiB", "█", "▁"]
    assert "5743" not in text


def test_utilization_of_the_whole_device_is_called_that(attempt) -> None:
    one = event(attempt("a", on_gpu=True))
    one["details"]["gpu_metrics"]["utilization_of"] = "device"
    assert "50/50/75 (all)" in shown(state_of(one))


def test_sparklines_follow_the_last_attempts(attempt) -> None:
    events = []
    for second, (percent, number) in enumerate([(0, 1), (50, 2), (None, 1), (100, 3)]):
        one = event(attempt(f"c{second}", on_gpu=True, attempt=number), second)
        one["details"]["gpu_metrics"]["utilization_mean"] = percent
        events.append(one)
    cells = row(shown(state_of(*events)), "Devices", "gpu-0")
    assert cells[3:] == ["▁▅ █", "████", "▁▅▁█"]


def test_a_sparkline_fits_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇██"
    assert sparkline([None, 5], 0) == " ▁"
    assert sparkline([200], 100) == "█"


def test_the_tail_holds_the_last_events_only(attempt) -> None:
    state = state_of(*(event(attempt(f"chunk_{n}"), n) for n in range(9)), n_tail=2)
    text = shown(state)[shown(state).index("Last events") :]
    assert "chunk_8" in text
    assert "chunk_7" in text
    assert "chunk_6" not in text
    assert state.counts.success == 9


def test_names_and_messages_are_shown_as_they_are(attempt) -> None:
    state = state_of(event(attempt("a[/red]b", "failure", error="[bold]no\nway")))
    text = shown(state)
    assert "a[/red]b" in text
    assert "[bold]no way" in text


LONG = "Sambaa K'e, été; $HOME_20260501_060000_mono_resampled_chunk_0001860000_0001920000"


@pytest.mark.parametrize("width", [80, 140])
def test_every_row_is_one_line_and_names_keep_their_end(attempt, width) -> None:
    error = f"{LONG}: band_energy failed: no luck at all, and none tomorrow, {'whatever ' * 20}"
    state = state_of(
        event(attempt(LONG, on_gpu=True, runtime_s=123.45)),
        event(attempt(LONG, "failure", will_retry=True, error=error)),
        event(attempt("音" * 40, attempt=3)),
    )
    state.workers["gpu-0"].last = state.tail[0].model_copy(
        update={"gpu_name": "NVIDIA RTX 6000 Ada Generation"}
    )
    text = shown(state, width)
    assert max(map(cell_len, text.splitlines())) <= width
    tail = text[text.index("Last events") :].splitlines()
    assert len(tail) == 3 + 3
    assert "0000_0001920000  " in tail[4]
    assert "band_energy failed" in tail[4], "without the chunk_id, which is there already"
    assert "util 50 %, 2.0 GiB" in tail[5]
    for table in ("Workers", "Devices", "Now"):
        lines = text[text.index(f"\n{table}  ") + 1 :].splitlines()
        rule = next(n for n, line in enumerate(lines) if "──" in line)
        labels = [line.split()[0] if line.strip() else "" for line in lines[rule + 1 :][:3]]
        assert labels == ["cpu-0", "gpu-0", ""][: len(labels)]


def test_a_full_device_row_fits_eighty_columns(attempt) -> None:
    events = [event(attempt("a", on_gpu=True, worker="gpu-10.1")) for _ in range(12)]
    for one in events:
        one["details"]["gpu_metrics"] |= {"utilization_of": "device", "memory_used_mib": 81_000.0}
        for kind in ("mean", "max"):
            one["details"]["gpu_metrics"][f"utilization_{kind}"] = 100.0
    cells = row(shown(state_of(*events), 80), "Devices", "gpu-10.1")
    text = " ".join(cells)
    assert "100/100/100 (all)" in text
    assert "VRAM 79.1 GiB" in text
    assert text.count("█") == 20


@pytest.mark.parametrize("n_workers", [1, 2, 40])
@pytest.mark.parametrize("height", [24, 50])
def test_a_small_screen_shows_the_newest_events(attempt, n_workers, height) -> None:
    state = state_of(
        *(
            event(attempt(f"chunk_{n:03}", worker=f"cpu-{n % n_workers}"), n % 60)
            for n in range(100)
        )
    )
    lines = shown(state, 80, height).splitlines()
    assert len(lines) <= height
    tail = lines[next(n for n, line in enumerate(lines) if "Last events" in line) + 3 :]
    named = [line.split()[2] for line in tail]
    assert named[:5] == [f"chunk_{n:03}" for n in range(99, 94, -1)]


def test_a_large_screen_shows_all_tables_and_no_more_events_than_wanted(attempt) -> None:
    state = state_of(*(event(attempt(f"c{n}")) for n in range(20)), n_tail=3)
    text = shown(state, 80, 60)
    assert all(f"\n{table}  " in text for table in ("Workers", "Devices", "Now"))
    assert "c17" in text
    assert "c16" not in text


def test_lines_of_the_original_are_understood(attempt) -> None:
    text = shown(state_of(ORIGINAL))
    assert row(text, "Workers", "gpu-1")[:7] == ["gpu-1", "1", "1", "0", "1", "0", "30.50 s"]
    assert "5743" not in text  # everybody's memory


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"status": "success"},
        {"status": 3, "chunk_id": "a"},
        {"status": "success", "chunk_id": "a", "details": [], "runtime_s": "1", "attempt": True},
        {"status": "failure", "chunk_id": "a", "timestamp": "never", "gpu_index": "0"},
        {"status": "success", "chunk_id": "a", "timestamp": "2026-01-01T00:00:00"},
        {"status": "odd", "chunk_id": "a", "details": {"gpu_metrics": 5}, "error": {}},
    ],
)
def test_strange_lines_break_nothing(strange) -> None:
    shown(state_of(strange))


def test_an_event_is_one_line_of_text(attempt) -> None:
    def line(one: dict) -> str:
        seen = Seen.from_event(one)
        assert seen is not None
        return event_line(seen)

    on_gpu = event(attempt("a", on_gpu=True, runtime_s=1.5), 7)
    assert line(on_gpu) == "[success] a (GPU 0) 2026-05-01T06:00:07+00:00 runtime=1.50s"
    start = event(attempt("a", "start"))
    assert line(start) == "[start] a (CPU) 2026-05-01T06:00:00+00:00 runtime=-"


@pytest.fixture
def run(monkeypatch):
    """Returns what runs one of the two commands, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer()
    app.command("telemetry")(telemetry)
    app.command("monitor")(monitor)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_last_ten_events_are_listed(tmp_path, attempt, run) -> None:
    log = write(tmp_path / "log.jsonl", *(attempt(f"c{n}") for n in range(12)))
    lines = run("telemetry", "--log", log).output.splitlines()
    assert [line.split()[1] for line in lines] == [f"c{n}" for n in range(2, 12)]
    assert lines[0].startswith("[success] c2 (CPU) 20")


def test_the_newest_log_of_a_dataset_is_taken(tmp_path, attempt, run, monkeypatch) -> None:
    folder = tmp_path / "artifacts" / "telemetry" / "infer"
    new = write(folder / "a.jsonl", attempt("new"))
    old = write(tmp_path / "data" / "telemetry" / "infer" / "b.jsonl", attempt("old"))
    write(folder / "a.jsonl.summary.json", attempt("not a log"))
    os.utime(old, (1, 1))
    assert NewestLog(tmp_path).look() == new
    assert "new" in run("telemetry", tmp_path).output
    monkeypatch.chdir(tmp_path)
    assert "new" in run("monitor").output
    os.utime(new, (0, 0))
    assert "old" in run("monitor", tmp_path).output


def test_a_missing_log_is_an_error_that_says_where(tmp_path, run) -> None:
    for words in (["telemetry", tmp_path], ["monitor", tmp_path]):
        error = run(*words).exception
        assert isinstance(error, DatasetInvalid)
        assert "no telemetry here" in str(error)
    (tmp_path / "audio").mkdir()
    assert "Wait until a run, or its first task" in str(run("monitor", tmp_path).exception)
    for command in ("telemetry", "monitor"):
        error = run(command, "--log", tmp_path / "x.jsonl").exception
        assert isinstance(error, DatasetInvalid)
        assert "x.jsonl" in str(error)


@pytest.mark.parametrize("content", ["notes\nof mine\n", "[1]\n", '{"a": 1}\n', "no end", "\0\n"])
@pytest.mark.parametrize("words", [["telemetry"], ["monitor"], ["monitor", "--follow"]])
def test_another_kind_of_file_is_refused(tmp_path, run, words, content) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(content)
    error = run(*words, "--log", notes).exception
    assert isinstance(error, DatasetInvalid)
    assert "notes.txt: no event of a run is in it" in str(error)


def test_a_pipe_is_no_log(tmp_path, run) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = run("monitor", "--follow", "--log", tmp_path / "pipe").exception
    assert isinstance(error, DatasetInvalid)
    assert "no such telemetry log" in str(error)


@pytest.mark.parametrize("words", [["telemetry"], ["monitor"], ["monitor", "--follow"]])
def test_for_a_folder_in_place_of_a_log_it_is_said_what_to_give(
    tmp_path, attempt, run, words
) -> None:
    folder = tmp_path / "artifacts" / "telemetry" / "infer"
    os.utime(write(folder / "old.jsonl", attempt("old")), (1, 1))
    new = write(folder / "new.jsonl", attempt("new"))
    for given, hint in (
        (folder, f"Give the newest log in it: --log {new}"),
        (tmp_path, f"Give the folder of a dataset without --log: {tmp_path}"),
        (folder.parent, "Give a telemetry log"),
    ):
        error = run(*words, "--log", given).exception
        assert isinstance(error, DatasetInvalid)
        assert f"is a folder, not a log. {hint}" in str(error)


def test_an_empty_log_is_fine(tmp_path, run) -> None:
    (tmp_path / "log.jsonl").touch()
    assert "Nothing has happened yet." in run("monitor", "--log", tmp_path / "log.jsonl").output


def test_a_log_with_a_torn_line_is_shown(tmp_path, attempt, run) -> None:
    log = write(tmp_path / "log.jsonl", attempt("a"), attempt("b"))
    with log.open("ab") as file:
        file.write(json.dumps(record(attempt("c"))).encode()[:50])
    shown_now = run("monitor", "--log", log, "--tail", 1, "--interval", 2)
    assert shown_now.exit_code == 0
    assert "2 chunks ended" in shown_now.output


_FOLLOW = """
import signal, sys
from pathlib import Path
from rich.console import Console
from badc_core.cli.telemetry import watch
signal.signal(signal.SIGINT, signal.default_int_handler)
from badc_core.telemetry.log import NewestLog
path = Path(sys.argv[1])
find = NewestLog(path).look if path.is_dir() else lambda: path
screen = Console(width=80, height=24, force_terminal=True, no_color=True)
watch(find, 5, 0.05, screen)
"""


@contextmanager
def following(what: Path, screen: Path) -> Iterator[subprocess.Popen]:
    """Follows a log or a dataset's logs; ends it by Ctrl-C, which must be quiet."""
    with screen.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _FOLLOW, str(what)], stdout=output, stderr=subprocess.PIPE
        )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert errors == b""


def test_following_shows_new_events_and_ends_quietly_on_ctrl_c(tmp_path, attempt) -> None:
    log, screen = tmp_path / "later.jsonl", tmp_path / "screen"
    with following(log, screen):
        wait_until_shown(screen, "Nothing has happened yet.")
        write(log, attempt("first"))
        wait_until_shown(screen, "1 chunk ended")
        write(log, attempt("second", "failure"))
        wait_until_shown(screen, "2 chunks ended, 1 with a result, 1 failed")
    _, _, left_behind = screen.read_text(encoding="utf-8").rpartition("\x1b[?1049l")
    assert "2 chunks ended" in left_behind, "the alternate screen is left, the last state stays"


def test_following_a_dataset_waits_for_a_log_and_goes_over_to_a_newer_one(
    tmp_path, attempt
) -> None:
    folder, screen = tmp_path / "artifacts" / "telemetry" / "infer", tmp_path / "screen"
    with following(tmp_path, screen):
        wait_until_shown(screen, "No telemetry log yet")
        first = write(folder / "a.jsonl", attempt("early"))
        wait_until_shown(screen, "early")
        write(folder / "0.jsonl", attempt("late"))
        wait_until_shown(screen, "late")
        write(first, attempt("of_the_first_again"))
        time.sleep(0.3)
    assert "of_the_first_again" not in screen.read_text(encoding="utf-8")


def wait_until_shown(screen: Path, text: str) -> None:
    wait_until(lambda: text in screen.read_text(encoding="utf-8", errors="replace"))
