"""How far a command is: bars on a terminal, else a line now and then, always on standard error."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from badc_core.cli.output import Output
from badc_core.cli.wording import counted
from badc_core.inference import run_recorder
from badc_core.telemetry.progress import Watcher, watched_by
from badc_core.units import format_duration

_INTERVAL_S = 30.0


class ShownProgress:
    """Shows stages of work one after the other; use as a context manager.

    Args:
        output: whether anything is shown.
        clock_s: a monotonic clock.
    """

    def __init__(self, output: Output, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(stderr=True)
        self._shows_bars = self._console.is_terminal and not output.quiet
        self._shows_lines = not self._console.is_terminal and not output.quiet
        columns = (TextColumn("{task.description}"), BarColumn(), _Amount(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=self._console, disable=not self._shows_bars)
        self._tasks: dict[str, TaskID] = {}
        self._lines: _Lines | None = None
        self._clock_s = clock_s

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()
        if self._lines is not None:
            self._lines.end()

    def stage(self, stage: str, n_recordings: int, audio_s: float | None) -> Watcher:
        """Begins a stage and returns what to report its progress to.

        Args:
            stage: its name; one that was there before goes on.
            n_recordings: to come.
            audio_s: seconds of sound to come; None where no detector runs.
        """
        is_audio = audio_s is not None
        total = n_recordings if audio_s is None else audio_s
        if self._shows_lines:
            if self._lines is not None:
                self._lines.end()
            self._lines = _Lines(stage, total, is_audio, self._print, self._clock_s)
            return self._lines
        return _Bar(self._bars, self._task(stage, total, is_audio), is_audio)

    def _task(self, name: str, total: float, is_audio: bool) -> TaskID:
        if name in self._tasks:
            task = self._bars.tasks[self._tasks[name]]
            self._bars.update(task.id, total=(task.total or 0.0) + total)
        else:
            self._tasks[name] = self._bars.add_task(name, total=total, is_audio=is_audio)
        return self._tasks[name]

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


@contextmanager
def shown_detecting(audio_s: float, output: Output) -> Iterator[None]:
    """Shows how far detecting is in this block, and keeps what is printed at its end off the log.

    Args:
        audio_s: seconds of sound to come.
        output: whether anything is shown.
    """
    log = logging.getLogger(run_recorder.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with ShownProgress(output) as shown, watched_by(shown.stage("detecting", 0, audio_s)):
            yield
    finally:
        log.setLevel(level)


class _Bar:
    """Moves a bar: by seconds of sound, or by recordings."""

    def __init__(self, bars: Progress, task: TaskID, is_audio: bool) -> None:
        self._bars, self._task, self._is_audio = bars, task, is_audio

    def analysed(self, audio_s: float) -> None:
        """Records seconds of sound that a detector has analysed."""
        if self._is_audio:
            self._bars.advance(self._task, audio_s)

    def ended(self) -> None:
        """Records that a recording has ended."""
        if not self._is_audio:
            self._bars.advance(self._task)


class _Lines:
    """Prints a line at most every 30 seconds, and one at the end."""

    def __init__(
        self,
        name: str,
        total: float,
        is_audio: bool,
        show: Callable[[str], None],
        clock_s: Callable[[], float],
    ) -> None:
        self._name, self._total, self._is_audio = name, total, is_audio
        self._show, self._clock_s = show, clock_s
        self._done = 0.0
        self._start_s = self._shown_s = clock_s()

    def analysed(self, audio_s: float) -> None:
        """Records seconds of sound that a detector has analysed."""
        if self._is_audio:
            self._advance(audio_s)

    def ended(self) -> None:
        """Records that a recording has ended."""
        if not self._is_audio:
            self._advance(1)

    def end(self) -> None:
        """Prints how far the stage came."""
        took_s = self._clock_s() - self._start_s
        self._show(f"{self._name}: {self._amount(took_s)}, in {format_duration(took_s)}")

    def _advance(self, amount: float) -> None:
        self._done += amount
        now_s = self._clock_s()
        if now_s - self._shown_s < _INTERVAL_S:
            return
        self._shown_s = now_s
        took_s = now_s - self._start_s
        left_s = max(0.0, self._total - self._done) * took_s / self._done if self._done else 0.0
        self._show(f"{self._name}: {self._amount(took_s)}, about {format_duration(left_s)} left")

    def _amount(self, took_s: float) -> str:
        return _describe_amount(self._done, self._total, self._is_audio, self._done / (took_s or 1))


class _Amount(ProgressColumn):
    """How much is done of how much: recordings, or sound and how fast it goes."""

    def render(self, task: Task) -> Text:
        is_audio = task.fields["is_audio"]
        return Text(_describe_amount(task.completed, task.total or 0.0, is_audio, task.speed))


def _describe_amount(done: float, total: float, is_audio: bool, speed: float | None) -> str:
    if not is_audio:
        return f"{done:.0f} of {counted(round(total), 'recording')}"
    pace = f", {speed:.3g}x real time" if speed else ""
    return f"{format_duration(done)} of {format_duration(total)}{pace}"
