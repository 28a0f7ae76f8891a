"""`badc telemetry` and `badc infer monitor`: what a run measures, while it runs or afterwards."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from badc_core.annexed_files import quote_path, require_fetched
from badc_core.cli.dataset_argument import is_dataset
from badc_core.cli.monitor_tables import event_line, render_monitor
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output, make_console
from badc_core.errors import DatasetInvalid
from badc_core.telemetry.live import find_logs, newest_part
from badc_core.telemetry.log import NewestLog, Tail, read_last_events, written_ns
from badc_core.telemetry.monitor import MonitorState, Seen

_N_LAST = 10

_Dataset = Annotated[Path, typer.Argument(help="The dataset's folder, whose newest log is read.")]
_Log = Annotated[Path | None, typer.Option("--log", help="This log instead.")]


@taking_options
def telemetry(out: Output, dataset: _Dataset = Path(), log: _Log = None) -> None:
    """Show the last ten events of a telemetry log."""
    events = read_last_events(_existing(log, dataset), _N_LAST)
    out.say(*map(event_line, filter(None, map(Seen.from_event, events))))
    out.give(events)


@taking_options
def monitor(
    out: Output,
    dataset: _Dataset = Path(),
    log: _Log = None,
    tail: Annotated[int, typer.Option(min=1, help="How many of the last events are shown.")] = 15,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Go on until Ctrl-C; the log, or a newer one, may come later."
        ),
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks at the log.")
    ] = 5.0,
) -> None:
    """Show what workers are doing: chunks, speed, retries, GPU use and memory."""
    if not follow or not out.is_for_people:
        found, state = _existing(log, dataset), MonitorState(tail)
        _catch_up(state, Tail(found))
        out.show(render_monitor(state, str(found), out.console))
        out.give(
            {
                "log": found,
                "elapsed_s": state.elapsed_s,
                "counts": state.counts,
                "workers": state.workers,
                "events": state.tail,
            }
        )
    elif log is None:
        watch(NewestLog(dataset).look, tail, interval, make_console())
    else:
        if newest_part(log).exists():
            _existing(log, dataset)
        watch(lambda: newest_part(log), tail, interval, make_console())


def watch(
    find: Callable[[], Path | None], n_tail: int, interval_s: float, console: Console
) -> None:
    """Shows the state of a run until Ctrl-C, and leaves the last one on screen.

    Args:
        find: returns at every look the log to show; None where there is none yet.
        n_tail: events shown at most.
        interval_s: between two looks.
        console: where to; the whole screen is used.
    """
    log, state, new = Path(), MonitorState(n_tail), Tail(Path())
    title = "No telemetry log yet"
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                found = find()
                if found is not None and found != log:
                    log, state, new = found, MonitorState(n_tail), Tail(found)
                    title = str(log)
                if found is not None:
                    _catch_up(state, new)
                live.update(render_monitor(state, title, console, is_cut=True), refresh=True)
                time.sleep(interval_s)
    except KeyboardInterrupt:
        console.print(render_monitor(state, title, console))


def _catch_up(state: MonitorState, new: Tail) -> None:
    for event in new.read():
        state.add(event)


def _existing(log: Path | None, dataset: Path) -> Path:
    """Returns the log that was named, or a dataset's newest.

    Raises:
        DatasetInvalid: there is none, or it is another kind of file.
    """
    if log is not None and log.is_dir():
        raise DatasetInvalid("is a folder, not a log", log, _what_to_give(log))
    path = NewestLog(dataset).look() if log is None else newest_part(log)
    if path is None and is_dataset(dataset):
        what = "no telemetry yet"
        hint = "Wait until a run, or its first task on a cluster, begins to detect"
        raise DatasetInvalid(what, dataset, hint)
    if path is None:
        what = "no telemetry here"
        raise DatasetInvalid(what, dataset, "Give the dataset's folder, or a log with --log")
    require_fetched(path)
    if not path.is_file():
        raise DatasetInvalid("no such telemetry log", path, "See: badc infer monitor --help")
    if path.stat().st_size and not any(map(Seen.from_event, Tail(path).read())):
        what = "no event of a run is in it"
        raise DatasetInvalid(what, path, "Give a telemetry log; its name ends in .jsonl")
    return path


def _what_to_give(folder: Path) -> str:
    """Returns what to give instead of a folder that was named as a log."""
    if logs := find_logs(folder):
        newest = max(logs, key=lambda path: (written_ns(path), path))
        return f"Give the newest log in it: --log {quote_path(newest)}"
    if NewestLog(folder).look() is not None:
        return f"Give the folder of a dataset without --log: {quote_path(folder)}"
    return "Give a telemetry log; its name ends in .jsonl"
