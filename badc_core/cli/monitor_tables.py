"""How a run looks on screen while it goes on: tables of what was counted.

The counting is in `badc_core/telemetry/monitor.py`.
"""

from collections.abc import Iterable
from datetime import UTC

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from badc_core.cli.tables import EndOf, plain_table
from badc_core.cli.wording import reason_alone
from badc_core.telemetry.monitor import MonitorState, Seen, WorkerView, sparkline
from badc_core.units import counted, format_duration

_STYLES = {"success": "green", "failure": "bold red", "start": "cyan"}
_NOTHING = "-"
_MIB_PER_GIB = 1024
_FULL_PERCENT = 100.0
_LEAST_EVENTS = 5
_LONGEST_GPU_NAME = 24
_LEAST_METRICS = 20
_OTHER_COLUMNS = 80


def render_monitor(
    state: MonitorState, title: str, console: Console, is_cut: bool = False
) -> RenderableType:
    """Returns the whole picture.

    Args:
        state: what was counted.
        title: where it was read.
        console: where it is shown; its width decides how much of long texts there is room for.
        is_cut: whether it must fit the console's height: then there are as many events as there
            is room for, and tables of workers are left out before the newest events are.
    """
    head: list[RenderableType] = [EndOf(title, "bold")]
    if not state.workers:
        return Group(*head, Text("Nothing has happened yet."))
    head.append(Text(_progress(state)))
    workers = sorted(state.workers.items())
    tables = [_work(workers), _devices(workers), _now(workers)]
    events = list(reversed(state.tail))
    if is_cut:
        frame = _height(console, _tail(events[:1], console.width)) - 1
        room = console.height - frame - _height(console, *head, *tables)
        while tables and room < min(len(events), _LEAST_EVENTS):
            room += _height(console, tables.pop())
        events = events[: max(1, room)]
    return Group(*head, *tables, _tail(events, console.width))


def event_line(seen: Seen) -> str:
    """Returns an event as one line of text: `[status] chunk (GPU 0) time runtime=1.50s`."""
    device = "CPU" if seen.gpu_index is None else f"GPU {seen.gpu_index}"
    at = seen.at.astimezone(UTC).isoformat(timespec="seconds") if seen.at else _NOTHING
    runtime = _NOTHING if seen.runtime_s is None else f"{seen.runtime_s:.2f}s"
    return f"[{seen.status}] {seen.chunk_id} ({device}) {at} runtime={runtime}"


def _progress(state: MonitorState) -> str:
    counts = state.counts
    parts = [
        f"{counted(counts.success + counts.failure, 'chunk')} ended",
        f"{counts.success} with a result",
        f"{counts.failure} failed",
        counted(counts.retry_attempts, "retry", "retries"),
        f"{format_duration(counts.audio_s)} of sound in {format_duration(state.elapsed_s)}",
    ]
    if state.elapsed_s > 0:
        parts.append(f"{counts.audio_s / state.elapsed_s:.1f} x real time")
    return ", ".join(parts)


def _work(workers: Iterable[tuple[str, WorkerView]]) -> Table:
    table = plain_table("Workers")
    table.add_column("Worker", no_wrap=True)
    for name in (
        "Events",
        "Success",
        "Fail",
        "Retry\nattempts",
        "Failed\nattempts",
        "Avg\nruntime",
        "x real\ntime",
    ):
        table.add_column(name, justify="right")
    for label, view in workers:
        counts = view.counts
        table.add_row(
            Text(label),
            str(view.events),
            str(counts.success),
            str(counts.failure),
            str(counts.retry_attempts),
            str(counts.failed_attempts),
            f"{counts.runtime_s / counts.attempts:.2f} s" if counts.attempts else _NOTHING,
            f"{counts.audio_s / counts.runtime_s:.1f}" if counts.runtime_s else _NOTHING,
        )
    return table


def _devices(workers: Iterable[tuple[str, WorkerView]]) -> Table:
    table = plain_table("Devices")
    table.add_column("Worker", no_wrap=True)
    table.add_column("Util %\nmin/avg/max", justify="right", no_wrap=True)
    table.add_column("Memory\nmax", justify="right", no_wrap=True)
    for name in ("Util", "Memory", "Retry"):
        table.add_column(name, no_wrap=True)
    for label, view in workers:
        table.add_row(
            Text(label),
            _utilization(view),
            _memory(view),
            sparkline(view.utilizations, _FULL_PERCENT),
            _memory_line(view),
            sparkline(view.retries, max((one or 0.0 for one in view.retries), default=0.0)),
        )
    return table


def _now(workers: Iterable[tuple[str, WorkerView]]) -> Table:
    table = plain_table("Now")
    table.add_column("Worker", no_wrap=True)
    table.add_column("GPU", no_wrap=True, max_width=_LONGEST_GPU_NAME)
    table.add_column("Last", no_wrap=True)
    table.add_column("Chunk")
    table.add_column("UTC", no_wrap=True)
    for label, view in workers:
        table.add_row(
            Text(label),
            Text(view.last.gpu_name or _NOTHING),
            _status(view.last),
            EndOf(view.last.chunk_id),
            _clock(view.last),
        )
    return table


def _tail(events: Iterable[Seen], width: int) -> Table:
    table = plain_table("Last events, newest first")
    table.add_column("UTC", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Chunk")
    for name in ("GPU", "Runtime", "Try"):
        table.add_column(name, justify="right", no_wrap=True)
    metrics = max(_LEAST_METRICS, width - _OTHER_COLUMNS)
    table.add_column("Metrics", no_wrap=True, max_width=metrics)
    for seen in events:
        table.add_row(
            _clock(seen),
            _status(seen),
            EndOf(seen.chunk_id),
            _NOTHING if seen.gpu_index is None else str(seen.gpu_index),
            _NOTHING if seen.runtime_s is None else f"{seen.runtime_s:.2f} s",
            str(seen.attempt),
            Text(_metrics(seen)),
        )
    return table


def _height(console: Console, *parts: RenderableType) -> int:
    return len(console.render_lines(Group(*parts), console.options, pad=False))


def _status(seen: Seen) -> Text:
    is_retried = seen.status == "failure" and seen.will_retry
    return Text("retrying" if is_retried else seen.status, _STYLES.get(seen.status, ""))


def _clock(seen: Seen) -> str:
    return seen.at.astimezone(UTC).strftime("%H:%M:%S") if seen.at else _NOTHING


def _utilization(view: WorkerView) -> str:
    values = (view.utilization_min, view.utilization_mean, view.utilization_max)
    if any(one is None for one in values):
        return _NOTHING
    shared = "" if view.last.utilization_of != "device" else " (all)"
    return "/".join(f"{one:.0f}" for one in values) + shared


def _memory(view: WorkerView) -> str:
    if view.vram_mib is not None:
        return f"VRAM {_size(view.vram_mib)}"
    return f"RSS {_size(view.rss_mib)}" if view.rss_mib else _NOTHING


def _memory_line(view: WorkerView) -> str:
    """Returns memory as bars, a full one for the most there was."""
    if view.vram_mib is not None:
        return sparkline(view.vrams_mib, view.vram_mib)
    return sparkline(view.rsss_mib, view.rss_mib or 0.0)


def _metrics(seen: Seen) -> str:
    """Returns the event's measurements, or what went wrong."""
    if seen.error:
        return reason_alone(seen.error, seen.chunk_id)
    parts = []
    if seen.utilization_mean is not None:
        parts.append(f"util {seen.utilization_mean:.0f} %")
    if seen.vram_mib is not None:
        parts.append(_size(seen.vram_mib))
    elif seen.rss_mib:
        parts.append(f"RSS {_size(seen.rss_mib)}")
    return ", ".join(parts)


def _size(n_mib: float) -> str:
    return f"{n_mib / _MIB_PER_GIB:.1f} GiB" if n_mib >= _MIB_PER_GIB else f"{n_mib:.0f} MiB"
