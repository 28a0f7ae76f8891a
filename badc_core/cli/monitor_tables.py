"""How a run looks on screen while it goes on: tables made from what was counted.

The counting is in `badc_core/telemetry/monitor.py`.
"""

from collections.abc import Iterable
from datetime import UTC

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from badc_core.telemetry.monitor import MonitorState, Seen, WorkerView, sparkline
from badc_core.units import format_duration

_STYLES = {"success": "green", "failure": "bold red", "start": "cyan"}
_NOTHING = "-"
_MIB_PER_GIB = 1024
_FULL_PERCENT = 100.0
_ERROR_CHARACTERS = 160


def render(state: MonitorState, title: str) -> RenderableType:
    """Returns the whole picture.

    Args:
        state: what was counted.
        title: where it was read.
    """
    if not state.workers:
        return Group(Text(title, style="bold"), Text("Nothing has happened yet."))
    workers = sorted(state.workers.items())
    return Group(
        Text(title, style="bold"),
        Text(_progress(state)),
        _work(workers),
        _devices(workers),
        _now(workers),
        _tail(state.tail),
    )


def event_line(seen: Seen) -> str:
    """Returns an event as one line of text: `[status] chunk (GPU 0) time runtime=1.50s`."""
    device = "CPU" if seen.gpu_index is None else f"GPU {seen.gpu_index}"
    at = seen.at.astimezone(UTC).isoformat(timespec="seconds") if seen.at else _NOTHING
    runtime = _NOTHING if seen.runtime_s is None else f"{seen.runtime_s:.2f}s"
    return f"[{seen.status}] {seen.chunk_id} ({device}) {at} runtime={runtime}"


def _progress(state: MonitorState) -> str:
    counts = state.counts
    parts = [
        f"{counts.success + counts.failure} chunks ended",
        f"{counts.success} with a result",
        f"{counts.failure} failed",
        f"{counts.retry_attempts} retries",
        f"{format_duration(counts.audio_s)} of sound in {format_duration(state.elapsed_s)}",
    ]
    if state.elapsed_s > 0:
        parts.append(f"{counts.audio_s / state.elapsed_s:.1f} x real time")
    return ", ".join(parts)


def _work(workers: Iterable[tuple[str, WorkerView]]) -> Table:
    table = _table("Workers")
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
    table = _table("Devices")
    table.add_column("Worker", no_wrap=True)
    table.add_column("Util %\nmin/avg/max", justify="right")
    table.add_column("Memory\nmax", justify="right")
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
    table = _table("Now")
    table.add_column("Worker", no_wrap=True)
    table.add_column("GPU")
    table.add_column("Last", no_wrap=True)
    table.add_column("Chunk", overflow="fold")
    table.add_column("Time (UTC)", no_wrap=True)
    for label, view in workers:
        table.add_row(
            Text(label),
            Text(view.last.gpu_name or _NOTHING),
            _status(view.last),
            Text(view.last.chunk_id),
            _clock(view.last),
        )
    return table


def _tail(tail: Iterable[Seen]) -> Table:
    table = _table("Last events")
    table.add_column("Time (UTC)", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Chunk", overflow="fold")
    table.add_column("GPU", justify="right")
    table.add_column("Runtime", justify="right")
    table.add_column("Attempt", justify="right")
    table.add_column("Metrics")
    for seen in tail:
        table.add_row(
            _clock(seen),
            _status(seen),
            Text(seen.chunk_id),
            _NOTHING if seen.gpu_index is None else str(seen.gpu_index),
            _NOTHING if seen.runtime_s is None else f"{seen.runtime_s:.2f} s",
            str(seen.attempt),
            Text(_metrics(seen)),
        )
    return table


def _table(title: str) -> Table:
    # Without edges and with one blank for a border, so that eighty columns are enough.
    return Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _status(seen: Seen) -> Text:
    is_retried = seen.status == "failure" and seen.will_retry
    return Text("retrying" if is_retried else seen.status, _STYLES.get(seen.status, ""))


def _clock(seen: Seen) -> str:
    return seen.at.astimezone(UTC).strftime("%H:%M:%S") if seen.at else _NOTHING


def _utilization(view: WorkerView) -> str:
    values = (view.utilization_min, view.utilization_mean, view.utilization_max)
    if any(one is None for one in values):
        return _NOTHING
    shared = "" if view.last.utilization_of != "device" else " (device)"
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
        return " ".join(seen.error.split())[:_ERROR_CHARACTERS]
    parts = []
    if seen.utilization_mean is not None:
        parts.append(f"util {seen.utilization_mean:.0f} %")
    if seen.vram_mib is not None:
        parts.append(f"VRAM {_size(seen.vram_mib)}")
    elif seen.rss_mib:
        parts.append(f"RSS {_size(seen.rss_mib)}")
    return ", ".join(parts)


def _size(n_mib: float) -> str:
    return f"{n_mib / _MIB_PER_GIB:.1f} GiB" if n_mib >= _MIB_PER_GIB else f"{n_mib:.0f} MiB"
