"""How a comparison of detectors looks on screen.

What is compared, and how, is in `badc_core/comparison/comparing.py`.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.containers import Lines
from rich.table import Table
from rich.text import Text

from badc_core.cli.output import Output
from badc_core.cli.tables import plain_table
from badc_core.comparison.comparing import Comparison
from badc_core.comparison.comparison_files import make_notes
from badc_core.units import counted, format_duration

_Row = Mapping[str, Any]
_NOTHING = "-"
_TWO = 2
_SHORTEST_NAME = 8
_NAMES_SHARE = 6


def show_comparison(comparison: Comparison, limit: int, out: Output) -> None:
    """Prints the species, the totals, and what must be known of them.

    Args:
        comparison: its result.
        limit: species shown.
        out: where to; eighty columns are enough.
    """
    console = out.console
    species = _by_species(comparison.species.to_pylist())
    table = _empty_table(len(comparison.tables))
    tables = {
        one.name: Text(one.name).wrap(console, max(_SHORTEST_NAME, console.width // _NAMES_SHARE))
        for one in comparison.tables
    }
    for rows in species[:limit]:
        _add(table, _names(rows[0]), rows, tables)
        table.add_section()
    together = Text.assemble(("All species", "bold"), "\nRecordings: any species")
    _add(table, together, _by_species(comparison.totals.to_pylist())[0], tables)
    out.show(table)
    out.say("Recordings: with one / with one in no other table / with one in all tables")
    if len(species) > limit:
        out.say(f"and {len(species) - limit} more species: --limit {len(species)}")
    out.say("")
    for line in _summary(comparison, species):
        out.say(line)
    for note in make_notes(comparison):
        out.say(f"Note: {note}")


def _by_species(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Returns the rows of each species, one for each table."""
    groups = groupby(rows, key=lambda row: (row["scientific_name"], row["common_name"]))
    return [list({row["table"]: row for row in some}.values()) for _, some in groups]


def _empty_table(n_tables: int) -> Table:
    table = plain_table("Detections by species, and how many of them the others have too")
    table.add_column("Species", overflow="fold")
    table.add_column("Table", no_wrap=True)
    table.add_column("Found", justify="right", no_wrap=True)
    for name in ("best", "median"):
        table.add_column(f"Score\n{name}", justify="right", no_wrap=True)
    table.add_column("Recordings", justify="right", no_wrap=True)
    if n_tables == _TWO:
        table.add_column("Agreed", justify="right", no_wrap=True)
    else:
        for name in ("any", "all"):
            table.add_column(f"Agreed\n{name}", justify="right", no_wrap=True)
    return table


def _add(table: Table, species: Text, rows: Sequence[_Row], tables: Mapping[str, Lines]) -> None:
    """Adds one row of cells with a line for each table, so that a long name leaves no gaps."""
    agreed = ("agreed_any", "agreed_all") if len(rows) > _TWO else ("agreed_any",)
    lines: list[list[str | Text]] = []
    for row in rows:
        places = (row["recordings"], row["recordings_only"], row["recordings_all"])
        name, *rest = tables[row["table"]]
        figures = [
            str(row["detections"]),
            _score(row["best_confidence"]),
            _score(row["median_confidence"]),
            "/".join(map(str, places)),
            *(_share(row[name], row["detections"]) for name in agreed),
        ]
        lines.append([name, *figures])
        lines += [[more, *([""] * len(figures))] for more in rest]
    columns = zip(*lines, strict=True)
    table.add_row(species, *(Text("\n").join(map(_text, column)) for column in columns))


def _text(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def _names(row: _Row) -> Text:
    scientific = row["scientific_name"]
    return Text.assemble(row["common_name"], (f"\n{scientific}" if scientific else "", "italic"))


def _score(confidence: float | None) -> str:
    return _NOTHING if confidence is None else f"{confidence:.2f}"


def _share(agreed: int, detections: int) -> str:
    """Returns a count and its percentage, which is 0 or 100 only where it is none or all."""
    if not detections:
        return _NOTHING
    percent = round(100 * agreed / detections)
    if 0 < agreed < detections:
        percent = min(max(percent, 1), 99)
    return f"{agreed} ({percent}%)"


def _summary(comparison: Comparison, species: Sequence[Sequence[_Row]]) -> list[str]:
    finders = [tuple(row["table"] for row in rows if row["recordings"]) for rows in species]
    names = [table.name for table in comparison.tables]
    by = [f"{finders.count(tuple(names))} found by all"]
    by += [f"{finders.count((name,))} by {name} alone" for name in names]
    recordings = counted(len(comparison.recordings), "recording")
    amount = "" if comparison.effort_s is None else f", {format_duration(comparison.effort_s)}"
    return [
        *(
            f"{table.name}: {comparison.n_compared[table.name]} of "
            f"{counted(len(table.found), 'detection')} compared, {table.path}"
            for table in comparison.tables
        ),
        f"Compared: {recordings}{amount} that all tables analysed",
        f"Species: {len(species)}; {', '.join(by)}",
    ]
