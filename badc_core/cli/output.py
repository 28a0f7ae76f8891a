"""Where commands write: results to standard output, warnings and failures to standard error.

Results are tables and lines for people, or with --json one JSON value for programs.
"""

import json
import re
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel
from rich.console import Console, RenderableType

from badc_core.options import OptionSpec

_REDIRECTED_COLUMNS = 400


@dataclass(frozen=True, kw_only=True)
class Output:
    """How much a command prints, and for whom."""

    as_json: Annotated[
        bool, OptionSpec("Print the result as JSON instead of tables.", option="--json")
    ] = False
    quiet: Annotated[
        bool, OptionSpec("Print only warnings, failures and JSON.", option="--quiet", short="-q")
    ] = False

    @property
    def is_for_people(self) -> bool:
        """Whether tables and lines are printed."""
        return not (self.as_json or self.quiet)

    @property
    def console(self) -> Console:
        """Standard output; nothing is folded where it goes into a file or a pipe."""
        return make_console(width=None if sys.stdout.isatty() else _REDIRECTED_COLUMNS)

    def show(self, *parts: RenderableType) -> None:
        """Prints tables."""
        if self.is_for_people:
            for part in parts:
                self.console.print(part)

    def say(self, *lines: str) -> None:
        """Prints lines as they are, however long."""
        if self.is_for_people:
            for line in lines:
                _print(self.console, line)

    def give(self, result: Any) -> None:
        """Prints the result as JSON, where that was asked for."""
        if self.as_json:
            print(to_json(result))

    def print_commands(self, commands: Iterable[str]) -> None:
        """Prints commands that a shell is to read, always: they are the whole result."""
        if self.as_json:
            self.give(list(commands))
        else:
            for one in commands:
                _print(self.console, one)

    def remark(self, line: str) -> None:
        """Prints a line that is no result on standard error."""
        if not self.quiet:
            _print(_errors(), line)

    def warn(self, text: str) -> None:
        """Prints a warning, on one line."""
        _print(_errors(), _join_lines(f"Warning: {text}"), "yellow")

    def fail(self, text: object) -> None:
        """Prints what failed, and why, on one line."""
        _print(_errors(), _join_lines(str(text)), "red")


def print_error(error: object) -> None:
    """Prints what ended a command, on one line."""
    _print(_errors(), _join_lines(f"Error: {error}"), "bold red")


def to_json(value: Any) -> str:
    """Returns dataclasses, paths and times as JSON."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        public = [one.name for one in fields(value) if not one.name.startswith("_")]
        return {name: _plain(getattr(value, name)) for name in public}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | None) else str(value)


def make_console(stderr: bool = False, width: int | None = None) -> Console:
    """Returns a console that prints texts as they are: `:x:` and `[red]` may be in file names."""
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def _errors() -> Console:
    return make_console(stderr=True)


def _join_lines(text: str) -> str:
    """Returns a text on one line; git and other programs say why they failed on several."""
    return re.sub(r"\s*[\r\n]+\s*", " ", text).rstrip()


def _print(console: Console, line: str, style: str = "") -> None:
    console.print(line, style=style, soft_wrap=True)
