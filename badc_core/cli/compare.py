"""`badc infer compare`: what several detectors found in the same recordings, side by side."""

from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.comparison_table import show_comparison
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.comparison.comparing import Rule, compare_tables
from badc_core.comparison.comparison_files import ENDINGS, make_notes, write_comparison
from badc_core.comparison.table_arguments import parse_tables, read_tables, require_apart
from badc_core.errors import OptionInvalid

_LONGEST_S = 86_400


@taking_options
def compare(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]TABLE...",
            help="CSV or Parquet of badc infer aggregate, or a dataset's folder; two or more.",
        ),
    ],
    out: Output,
    min_overlap: Annotated[
        float,
        typer.Option(
            min=0, max=_LONGEST_S, help="Seconds that detections must share; 0: any time at all."
        ),
    ] = 0.0,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, max=_LONGEST_S, help="Seconds taken to be shared beyond those that are."
        ),
    ] = 0.0,
    output: Annotated[
        Path | None,
        typer.Option(help="All figures as .csv, .json or .parquet.", show_default="none"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Species shown; files are always whole.")] = 20,
) -> None:
    """Compare detectors: what each found of each species, and where they agree."""
    if len(tables) == 1:
        raise OptionInvalid("one table cannot be compared: give two or more", "TABLE")
    if output is not None and output.suffix.lower() not in ENDINGS:
        raise OptionInvalid(f"must end in {', '.join(ENDINGS)}", "--output")
    given = parse_tables(tables)
    if output is not None:
        require_apart(output, given)
    rule = Rule(round(min_overlap * 1000), round(tolerance * 1000))
    comparison = compare_tables(read_tables(given), rule)
    show_comparison(comparison, limit, out)
    out.give(
        {
            "species": comparison.species.to_pylist(),
            "totals": comparison.totals.to_pylist(),
            "effort_s": comparison.effort_s,
            "notes": make_notes(comparison),
        }
    )
    if output is not None:
        write_comparison(output, comparison)
        out.say(f"Table: {output}")
