"""What is to be seen while a command works: bars, and no log beside them."""

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

from badc_core.inference import run_recorder
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
        progress_bars(console, disable=not console.is_terminal) as bars,
        watched_by(ProgressBar(bars, "detecting", audio_s=audio_s)),
    ):
        yield


def progress_bars(console: Console, *, transient: bool = False, disable: bool = False) -> Progress:
    """Returns what shows `ProgressBar`s: how much is done, how fast, how long the rest may take.

    Args:
        console: where to.
        transient: whether they go in the end.
        disable: whether there are none.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), _Amount(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=transient, disable=disable)


class ProgressBar:
    """A watcher that moves a progress bar: by seconds of sound where it is told them.

    Args:
        bars: shows it.
        what: is being made.
        n_recordings: to come; what moves it where `audio_s` is None.
        audio_s: seconds of sound to come; None where no detector runs.
    """

    def __init__(
        self, bars: Progress, what: str, n_recordings: int = 0, audio_s: float | None = None
    ) -> None:
        self._bars = bars
        self._is_audio = audio_s is not None
        total = n_recordings if audio_s is None else audio_s
        self._task = bars.add_task(what, total=total, is_audio=self._is_audio)

    def analysed(self, audio_s: float) -> None:
        """Moves a bar of sound."""
        if self._is_audio:
            self._bars.advance(self._task, audio_s)

    def ended(self) -> None:
        """Moves a bar of recordings."""
        if not self._is_audio:
            self._bars.advance(self._task)


@contextmanager
def told_once() -> Iterator[None]:
    """Keeps the log from telling of troubled chunks what is printed at the end."""
    log = logging.getLogger(run_recorder.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


class _Amount(ProgressColumn):
    """How much is done of how much: recordings, or sound and how fast it goes."""

    def render(self, task: Task) -> Text:
        total = task.total or 0.0
        if not task.fields["is_audio"]:
            return Text(f"{task.completed:.0f} of {total:.0f} recordings")
        speed = f"  {task.speed:.0f}x real time" if task.speed else ""
        return Text(f"{format_duration(task.completed)} of {format_duration(total)}{speed}")
