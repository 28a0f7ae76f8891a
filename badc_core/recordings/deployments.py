"""The optional table of stations, which overrules what files say about themselves."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from badc_core.errors import ConfigInvalid
from badc_core.settings import is_fixed_offset

_COLUMNS = (
    "location",
    "study_area",
    "timezone",
    "latitude",
    "longitude",
    "elevation_m",
    "clock_offset_s",
)
_LIMITS = {"latitude": 90.0, "longitude": 180.0}


@dataclass(frozen=True)
class Deployment:
    """A station; None where the table says nothing.

    Attributes:
        location: as the path templates capture it.
        timezone: of the recorder's clock, an IANA name or a fixed offset.
        clock_offset_s: added to what the clock showed; positive for a clock that ran behind.
    """

    location: str
    study_area: str | None = None
    timezone: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    elevation_m: float | None = None
    clock_offset_s: float | None = None


def read_deployments(path: Path) -> dict[str, Deployment]:
    """Returns location -> station; empty where there is no table.

    Raises:
        ConfigInvalid: not CSV, an unknown column, a station twice, or an impossible value.
    """
    if not path.exists():
        return {}
    stations: dict[str, Deployment] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, row in _rows(csv.DictReader(file, strict=True), path):
                station = _parse_row(row, line, path)
                if station.location in stations:
                    raise _invalid(path, line, f"location {station.location!r} is there twice")
                stations[station.location] = station
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigInvalid(
            f"not a readable CSV table ({error})", path, "Save it as UTF-8 CSV"
        ) from error
    return stations


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    names = [name.strip() for name in reader.fieldnames or ()]
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown:
        raise ConfigInvalid(
            f"unknown column {', '.join(map(repr, unknown))}; valid: {', '.join(_COLUMNS)}",
            path,
            "Rename or remove it",
        )
    if "location" not in names:
        raise ConfigInvalid("no column location", path, f"Begin it with {','.join(_COLUMNS)}")
    reader.fieldnames = names
    for row in reader:
        if None in row:
            raise _invalid(path, reader.line_num, "more cells than columns")
        yield reader.line_num, {name: (row[name] or "").strip() for name in names}


def _parse_row(row: dict[str, str], line: int, path: Path) -> Deployment:
    if not row["location"]:
        raise _invalid(path, line, "no location")
    timezone = row.get("timezone") or None
    if timezone is not None and not is_fixed_offset(timezone):
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise _invalid(path, line, f"no time zone is called {timezone!r}") from error
    return Deployment(
        location=row["location"],
        study_area=row.get("study_area") or None,
        timezone=timezone,
        latitude=_parse_number(row, "latitude", line, path),
        longitude=_parse_number(row, "longitude", line, path),
        elevation_m=_parse_number(row, "elevation_m", line, path),
        clock_offset_s=_parse_number(row, "clock_offset_s", line, path),
    )


def _parse_number(row: dict[str, str], column: str, line: int, path: Path) -> float | None:
    text = row.get(column)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise _invalid(path, line, f"{column} {text!r} is not a number") from error
    if not math.isfinite(number) or abs(number) > _LIMITS.get(column, math.inf):
        raise _invalid(path, line, f"{column} {text} is out of range")
    return number


def _invalid(path: Path, line: int, what: str) -> ConfigInvalid:
    return ConfigInvalid(f"line {line}: {what}", path, "Correct that line")
