"""Tables on screen, all in one style: without edges, so that eighty columns are enough."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_SHORTEST_NAME = 8
_DECIMAL = re.compile(r"-?\d+\.\d+")

Cell: TypeAlias = RenderableType | float
"""Numbers are aligned to the right, and so is a dash among them; a string is printed as it is."""


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """Returns a table; long texts are folded, and columns of numbers aligned to the right.

    Args:
        title: above it.
        columns: their headings.
        rows: a cell for each column.
    """
    rows = list(rows)
    table = plain_table(title)
    for number, name in enumerate(columns):
        cells = [row[number] for row in rows]
        is_number = any(map(_is_number, cells)) and all(
            cell == "-" or _is_number(cell) for cell in cells
        )
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_render, row))
    return table


def plain_table(title: str) -> Table:
    """Returns a table without columns yet."""
    return Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


class EndOf:
    """A line of text that loses its beginning where there is too little room."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text = "".join(one if one.isprintable() else " " for one in text)
        self._style = style

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        width = cell_len(self._text)
        return Measurement(min(width, _SHORTEST_NAME), width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        text = self._text
        n_lost = 0
        while cell_len(text) > options.max_width and n_lost < len(self._text):
            n_lost += 1
            text = f"…{self._text[n_lost:]}"
        yield Text(text, self._style, no_wrap=True)


def _is_number(cell: Cell) -> bool:
    """Returns whether a cell is a number, or one with decimals as a text."""
    is_text = isinstance(cell, str) and _DECIMAL.fullmatch(cell) is not None
    return is_text or isinstance(cell, int | float)


def _render(cell: Cell) -> RenderableType:
    return Text(str(cell)) if isinstance(cell, str | int | float) else cell
