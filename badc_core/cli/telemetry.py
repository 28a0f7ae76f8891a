"""`badc telemetry` and `badc infer monitor`: what a run has measured, afterwards or meanwhile."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from badc_core.cli.monitor_tables import event_line, render
from badc_core.errors import DatasetInvalid
from badc_core.telemetry.log import Tail, read_last_events
from badc_core.telemetry.monitor import MonitorState, Seen

_FOLDERS = ("artifacts/telemetry/infer", "data/telemetry/infer")
_N_LAST = 10

_Dataset = Annotated[Path, typer.Argument(help="The dataset's folder, whose newest log is read.")]
_Log = Annotated[Path | None, typer.Option("--log", help="This log instead.")]


def telemetry(dataset: _Dataset = Path(), log: _Log = None) -> None:
    """Show the last ten events of a telemetry log."""
    path = _existing(log) if log else newest_log(dataset)
    print_last(path, Console())


def monitor(
    dataset: _Dataset = Path(),
    log: _Log = None,
    tail: Annotated[int, typer.Option(min=1, help="How many of the last events are shown.")] = 15,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C; the log may come later.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks at the log.")
    ] = 5.0,
) -> None:
    """Show what workers are doing: chunks, speed, retries, GPU use and memory."""
    path = log or newest_log(dataset)
    if follow:
        watch(path, tail, interval, Console())
    else:
        print_once(_existing(path), tail, Console())


def newest_log(root: Path) -> Path:
    """Returns the telemetry log of a dataset that was written last.

    Args:
        root: the dataset's folder.

    Raises:
        DatasetInvalid: there is none.
    """
    logs = [path for folder in _FOLDERS for path in (root / folder).glob("*.jsonl")]
    if not logs:
        raise DatasetInvalid(
            "no telemetry here",
            root / _FOLDERS[0],
            "Give the dataset's folder, or a log with --log; badc run makes one",
        )
    return max(logs, key=lambda path: (path.stat().st_mtime_ns, path))


def print_last(log: Path, console: Console) -> None:
    """Prints the last events of a log, a line each.

    Args:
        log: a telemetry log.
        console: where to.
    """
    for event in read_last_events(log, _N_LAST):
        seen = Seen.from_event(event)
        if seen is not None:
            console.print(event_line(seen), markup=False, highlight=False, soft_wrap=True)


def print_once(log: Path, n_tail: int, console: Console) -> None:
    """Prints the state of a run as it is now.

    Args:
        log: its telemetry log.
        n_tail: events shown.
        console: where to.
    """
    state = MonitorState(n_tail)
    _catch_up(state, Tail(log))
    console.print(render(state, str(log)))


def watch(log: Path, n_tail: int, interval_s: float, console: Console) -> None:
    """Shows the state of a run until somebody presses Ctrl-C.

    Args:
        log: its telemetry log, there or not yet.
        n_tail: events shown.
        interval_s: between two looks.
        console: where to.
    """
    state, new = MonitorState(n_tail), Tail(log)
    try:
        with Live(render(state, str(log)), console=console, auto_refresh=False) as live:
            while True:
                _catch_up(state, new)
                live.update(render(state, str(log)), refresh=True)
                time.sleep(interval_s)
    except KeyboardInterrupt:
        return


def _catch_up(state: MonitorState, new: Tail) -> None:
    for event in new.read():
        state.add(event)


def _existing(log: Path) -> Path:
    if not log.is_file():
        raise DatasetInvalid("no such telemetry log", log, "See: badc infer monitor --help")
    return log
