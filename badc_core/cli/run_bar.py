"""What is to be seen while a detector runs: a bar that moves by seconds of sound, and no log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from badc_core.inference import accounts
from badc_core.telemetry.progress import watched_by
from badc_core.units import format_duration


@contextmanager
def shown_progress(audio_s: float, console: Console) -> Iterator[None]:
    """Shows how far the block is, where somebody looks on.

    Args:
        audio_s: seconds of sound there are in all.
        console: where to.
    """
    with (
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as bars,
        watched_by(_Bar(bars, audio_s)),
    ):
        yield


@contextmanager
def told_once() -> Iterator[None]:
    """Keeps the log from telling of troubled chunks what is printed at the end."""
    log = logging.getLogger(accounts.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


class _Amount(ProgressColumn):
    """How much sound is done of how much, and how fast it goes."""

    def render(self, task: Task) -> Text:
        speed = f"  {task.speed:.0f}x real time" if task.speed else ""
        total = format_duration(task.total or 0.0)
        return Text(f"{format_duration(task.completed)} of {total}{speed}")


class _Bar:
    """A watcher that moves a progress bar by seconds of sound."""

    def __init__(self, bars: Progress, audio_s: float) -> None:
        self._bars = bars
        self._task = bars.add_task("detecting", total=audio_s)

    def analysed(self, audio_s: float) -> None:
        """Moves the bar."""
        self._bars.advance(self._task, audio_s)

    def ended(self) -> None:
        """Does nothing: a recording's end moves no bar."""
