"""How far a command is: bars on a terminal, else a line now and then, always on standard error."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from badc_core.cli.output import Output, make_console
from badc_core.inference import run_recorder
from badc_core.telemetry.progress import Watcher, watched_by
from badc_core.units import counted, format_duration

_INTERVAL_S = 30.0


class ShownProgress:
    """Shows the stages of a run, each over all its batches; use as a context manager.

    On a terminal each stage has a bar. Elsewhere a line comes at most every 30 seconds, and one at
    the end.

    Args:
        output: whether anything is shown.
        clock_s: a monotonic clock.
    """

    def __init__(self, output: Output, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._console = make_console(stderr=True)
        self._shows_bars = self._console.is_terminal and not output.quiet
        self._shows_words = not output.quiet
        self._shows_lines = not self._console.is_terminal and not output.quiet
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), _Amount())
        self._bars = Progress(*columns, console=self._console, disable=not self._shows_bars)
        self._stages: dict[str, _Stage] = {}
        self._clock_s = clock_s
        self._start_s = self._shown_s = clock_s()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if self._stages and self._shows_lines:
            # Analysing sound takes nearly all the time, where that is done at all.
            stages = list(self._stages.values())
            shown = [one for one in stages if one.is_audio] or stages[-1:]
            amounts = "; ".join(f"{one.name}: {one.amount}" for one in shown)
            took = format_duration(self._clock_s() - self._start_s)
            self._print(f"{amounts}. Everything took {took}.")

    def stage(
        self, stage: str, n_recordings: int, audio_s: float | None, n_later: int = 0
    ) -> Watcher:
        """Begins a batch of a stage and returns what to report its progress to.

        Args:
            stage: its name; one that was there before goes on.
            n_recordings: of the batch.
            audio_s: seconds of sound in them; None where no detector runs.
            n_later: recordings of the batches after this one.
        """
        if stage not in self._stages:
            bar = self._bars.add_task(stage, stage=None)
            shows = self._show, self._say
            self._stages[stage] = _Stage(stage, audio_s is not None, bar, shows, self._clock_s)
            self._bars.update(bar, stage=self._stages[stage])
        found = self._stages[stage]
        found.expect(n_recordings, audio_s or 0.0, n_later)
        self._bars.update(found.bar, completed=found.done, total=found.total)
        return found

    def _show(self, stage: "_Stage") -> None:
        """Shows how far a stage is: always on a bar, as a line if the last one was long ago."""
        self._bars.update(stage.bar, completed=stage.done, total=stage.total)
        now_s = self._clock_s()
        if self._shows_lines and now_s - self._shown_s >= _INTERVAL_S:
            self._shown_s = now_s
            left_s = sum(one.left_s for one in self._stages.values())
            self._print(f"{stage.name}: {stage.amount}{_describe_left(left_s)}")

    def _say(self, sentence: str) -> None:
        if self._shows_words:
            self._print(sentence)

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


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


class _Stage:
    """Adds up what is done of a stage, in seconds of sound or in recordings, over all batches.

    How much sound the later batches have is not known before they are described: as much a
    recording as in those before.
    """

    def __init__(
        self,
        name: str,
        is_audio: bool,
        bar: TaskID,
        shows: tuple[Callable[["_Stage"], None], Callable[[str], None]],
        clock_s: Callable[[], float],
    ) -> None:
        self.name, self.is_audio, self.bar = name, is_audio, bar
        self.done = self.total = 0.0
        self._n_begun, self._begun = 0, 0.0
        (self._show, self._say), self._clock_s = shows, clock_s
        # The first amount comes after a model was loaded, or a queue waited for: that is no pace.
        self._paced, self._took_s, self._since_s = 0.0, 0.0, clock_s()

    @property
    def left_s(self) -> float:
        """How long the rest may take, at the pace so far; 0 if there is none yet."""
        return max(0.0, self.total - self.done) * self._took_s / (self._paced or math.inf)

    @property
    def amount(self) -> str:
        """How much is done of how much."""
        if not self.is_audio:
            return f"{self.done:.0f} of {counted(round(self.total), 'recording')}"
        return f"{format_duration(self.done)} of {format_duration(self.total)} of sound"

    def expect(self, n_recordings: int, audio_s: float, n_later: int) -> None:
        """Begins a batch."""
        self._n_begun += n_recordings
        self._begun += audio_s if self.is_audio else n_recordings
        self.total = self._begun * (1 + n_later / (self._n_begun or 1))
        self._since_s = self._clock_s()

    def analysed(self, audio_s: float) -> None:
        """Records seconds of sound that a detector has analysed."""
        if self.is_audio:
            self._advance(audio_s)

    def ended(self) -> None:
        """Records that a recording has ended."""
        if not self.is_audio:
            self._advance(1)

    def said(self, sentence: str) -> None:
        """Shows what a person should know."""
        self._say(sentence)

    def _advance(self, amount: float) -> None:
        now_s = self._clock_s()
        if self.done:
            self._took_s += now_s - self._since_s
            self._paced += amount
        self._since_s = now_s
        self.done += amount
        self._show(self)


class _Amount(ProgressColumn):
    """How much is done of how much, and how long the rest may take."""

    def render(self, task: Task) -> Text:
        stage: _Stage | None = task.fields["stage"]
        if stage is None:
            return Text()
        return Text(f"{stage.amount}{_describe_left(stage.left_s)}")


def _describe_left(left_s: float) -> str:
    return f", about {format_duration(left_s)} left" if left_s else ""
