"""`badc species`: which species BirdNET's range model expects at a place."""

import io
from dataclasses import dataclass
from datetime import date
from typing import Annotated

import typer

from badc_core.cli.groups import CONTEXT_SETTINGS
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.tables import make_table
from badc_core.csv_tables import write_rows
from badc_core.errors import DetectorMissing, OptionInvalid
from badc_core.ranges.birdnet import (
    EXPECTED_FROM,
    LAST_WEEK,
    WHOLE_YEAR,
    SpeciesRange,
    installed_range,
    week_of,
)
from badc_core.recordings.plausible import keep_plausible_fields
from badc_core.units import counted


@dataclass(frozen=True)
class ExpectedSpecies:
    """A species that is expected, and how often it is reported, 0 to 1."""

    common_name: str
    scientific_name: str
    occurrence: float


@taking_options
def species(
    latitude: Annotated[float, typer.Argument(metavar="LAT", help="Degrees north.")],
    longitude: Annotated[float, typer.Argument(metavar="LON", help="Degrees east.")],
    out: Output,
    week: Annotated[
        str | None,
        typer.Argument(
            metavar="WEEK", help="From 1 to 48, or a date such as 2024-05-15; else all year."
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Least occurrence of what is shown.")
    ] = EXPECTED_FROM,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, which detector.species_list can read.")
    ] = False,
) -> None:
    """List the species that can be at a place."""
    expected = installed_range()
    if expected is None:
        what = "BirdNET's range model is not installed"
        raise DetectorMissing(what, "birdnet", "Run: pip install 'badc[birdnet]'")
    _require_place(latitude, longitude)
    number = _read_week(week)
    found = list_expected(expected, (latitude, longitude), number, threshold)
    if as_csv:
        print(_to_csv(found), end="")
        return
    season = "in the whole year" if number == WHOLE_YEAR else f"in week {number} of 48"
    title = f"{counted(len(found), 'species', 'species')} at {latitude:g}, {longitude:g} {season}"
    rows = [(one.common_name, one.scientific_name, f"{one.occurrence:.3f}") for one in found]
    if rows:
        out.show(make_table(title, ("Species", "Scientific name", "Occurrence"), rows))
    else:
        out.say(f"{title} with an occurrence of {threshold:g} or more")
    out.give({"week": None if number == WHOLE_YEAR else number, "species": found})


# Without this -114 would be an unknown option.
vars(species)[CONTEXT_SETTINGS] = {"ignore_unknown_options": True}


def list_expected(
    known: SpeciesRange, place: tuple[float, float], week: int, threshold: float
) -> list[ExpectedSpecies]:
    """Returns the species that are reported at least so often, most often first."""
    often = known.occurrences(*place, week)
    names = known.common_names
    found = [
        ExpectedSpecies(names[one], one, value)
        for one, value in often.items()
        if value >= threshold
    ]
    return sorted(found, key=lambda one: (-one.occurrence, one.common_name))


def _to_csv(found: list[ExpectedSpecies]) -> str:
    text = io.StringIO()
    columns = ("common_name", "scientific_name", "occurrence")
    rows = ((one.common_name, one.scientific_name, f"{one.occurrence:.6f}") for one in found)
    write_rows(text, columns, rows)
    return text.getvalue()


def _require_place(latitude: float, longitude: float) -> None:
    given = {"latitude": latitude, "longitude": longitude}
    kept, _ = keep_plausible_fields(given, "the command line")
    if kept != given:
        what = f"nothing can be recorded at latitude {latitude:g}, longitude {longitude:g}"
        raise OptionInvalid(what, "LAT LON", "Give degrees north and east, such as 55.0 -114.0")


def _read_week(text: str | None) -> int:
    if text is None:
        return WHOLE_YEAR
    try:
        week = int(text) if text.isdecimal() else week_of(date.fromisoformat(text).isoformat())
    except ValueError:
        week = 0
    if not 1 <= week <= LAST_WEEK:
        what = f"{text!r} is neither a week from 1 to {LAST_WEEK} nor a date such as 2024-05-15"
        raise OptionInvalid(what, "WEEK", "")
    return week
