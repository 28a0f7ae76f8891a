"""The optional table of stations, which overrules what files say about themselves."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from badc_core.errors import ConfigInvalid
from badc_core.settings import check_timezone
from badc_core.validation import explain_invalid

_Finite = Field(allow_inf_nan=False)
_Latitude = Annotated[float, Field(ge=-90, le=90)]
_Longitude = Annotated[float, Field(ge=-180, le=180)]


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
    timezone: Annotated[str, AfterValidator(check_timezone)] | None = None
    latitude: _Latitude | None = None
    longitude: _Longitude | None = None
    elevation_m: Annotated[float, _Finite] | None = None
    clock_offset_s: Annotated[float, Field(ge=-4e9, le=4e9)] | None = None


_ROW = TypeAdapter(Deployment)
_COLUMNS = tuple(field.name for field in fields(Deployment))


def read_deployments(path: Path) -> dict[str, Deployment]:
    """Returns location -> station; empty if there is no table.

    Raises:
        ConfigInvalid: not CSV, an unknown column, a repeated station, or an impossible value.
    """
    if not path.exists():
        return {}
    stations: dict[str, Deployment] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, row in _rows(csv.DictReader(file, strict=True), path):
                station = _ROW.validate_python({key: cell for key, cell in row.items() if cell})
                if station.location in stations:
                    raise _invalid(path, line, f"location {station.location!r} is there twice")
                stations[station.location] = station
    except ValidationError as error:
        raise _invalid(path, line, explain_invalid(error)) from error
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


def _invalid(path: Path, line: int, what: str) -> ConfigInvalid:
    return ConfigInvalid(f"line {line}: {what}", path, "Correct that line")
