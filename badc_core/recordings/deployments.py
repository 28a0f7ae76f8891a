"""The optional table of stations, which overrules what files say about themselves."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from badc_core.annexed_files import require_fetched
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
        extras: the table's other columns, name -> text.
    """

    location: str
    study_area: str | None = None
    timezone: Annotated[str, AfterValidator(check_timezone)] | None = None
    latitude: _Latitude | None = None
    longitude: _Longitude | None = None
    elevation_m: Annotated[float, _Finite] | None = None
    clock_offset_s: Annotated[float, Field(ge=-4e9, le=4e9)] | None = None
    extras: dict[str, str] = field(default_factory=dict)


_ROW = TypeAdapter(Deployment)
_COLUMNS = tuple(one.name for one in fields(Deployment) if one.name != "extras")
_NUMBERS = ("latitude", "longitude", "elevation_m", "clock_offset_s")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_OF_EXCEL = "cp1252"
"""In which Excel saves "CSV (comma delimited)" in western Europe and America."""
_SAVE = "Save it as CSV UTF-8"
_MISNAMED = (
    *("station", "site", "lat", "lon", "long", "lng", "x", "y", "tz", "time_zone", "zone"),
    *("elevation", "altitude", "area", "clock_offset"),
)


def read_deployments(path: Path) -> dict[str, Deployment]:
    """Returns location -> station; empty if there is no table.

    Raises:
        ConfigInvalid: not CSV, a misnamed column, a repeated station, or an impossible value.
        ContentMissing: it is annexed, and its content is not here.
    """
    require_fetched(path)
    if not path.exists():
        return {}
    stations: dict[str, Deployment] = {}
    line = 1
    try:
        for line, row in _rows(_decode(path.read_bytes(), path), path):
            station = _ROW.validate_python(row)
            if station.location in stations:
                raise _invalid(path, line, f"location {station.location!r} is there twice")
            stations[station.location] = station
    except ValidationError as error:
        raise _invalid(path, line, explain_invalid(error)) from error
    except csv.Error as error:
        raise ConfigInvalid(f"not a readable CSV table ({error})", path, _SAVE) from error
    return stations


def _decode(content: bytes, path: Path) -> str:
    """Returns the table's text, in whichever encoding spreadsheets save it.

    Raises:
        ConfigInvalid: none of them; the line is named.
    """
    encoding = _guess_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise ConfigInvalid("its end is missing: half a UTF-16 letter", path, _SAVE) from error
        text = _decode_as_excel(content, path)
    # As names in paths are read, whichever way accents are encoded there.
    return unicodedata.normalize("NFC", text)


def _decode_as_excel(content: bytes, path: Path) -> str:
    try:
        return content.decode(_OF_EXCEL)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        start = max(content.rfind(one, 0, error.start) for one in (b",", b";", b"\t", b"\n")) + 1
        cell = re.split(rb"[,;\t\r\n]", content[start:])[0].decode("ascii", "backslashreplace")
        what = f"line {line}: {cell!r} is neither UTF-8 nor Windows-1252"
        raise ConfigInvalid(what, path, _SAVE) from error


def _guess_encoding(content: bytes) -> str:
    """Returns the encoding, where the first bytes tell it: a table begins with plain letters."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if content[:1] == b"\0" else "utf-8-sig"


def _rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields line number and values of each row that has any; other columns as extras."""
    first, _, rest = text.partition("\n")
    skipped = 0
    if first.strip().strip('"').lower().startswith("sep="):  # Excel's own hint.
        text, skipped = rest, 1
        first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    lines = io.StringIO(text, newline="")
    reader = csv.DictReader(lines, strict=True, delimiter=separator)
    reader.fieldnames = _check_columns([*(reader.fieldnames or ())], separator, path)
    for cells in reader:
        line = reader.line_num + skipped
        if any(cell.strip() for cell in cells.pop(None, ())):
            raise _invalid(path, line, "more cells than columns")
        row = {name: (cell or "").strip() for name, cell in cells.items() if name}
        if any(row.values()):
            yield line, _typed(row)


def _check_columns(names: list[str], separator: str, path: Path) -> list[str]:
    """Returns the names of the columns, those of BADC in small letters."""
    names = [name.strip() for name in names]
    names = [name.lower() if name.lower() in _COLUMNS else name for name in names]
    told = f" (columns separated by {_SEPARATORS[separator]})"
    misnamed = [name for name in names if name not in _COLUMNS and _is_misnamed(name)]
    if misnamed:
        raise ConfigInvalid(
            f"unknown column {', '.join(map(repr, misnamed))}; valid: {', '.join(_COLUMNS)}{told}",
            path,
            "Rename or remove it",
        )
    if "location" not in names:
        raise ConfigInvalid(
            f"no column location{told}", path, f"Begin it with {','.join(_COLUMNS)}"
        )
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        raise ConfigInvalid(f"column {repeated[0]!r} is there twice", path, "Remove one")
    return names


def _is_misnamed(name: str) -> bool:
    """Whether a column is probably meant as one that BADC reads: it must not go unread."""
    return name.lower() in _MISNAMED or bool(get_close_matches(name.lower(), _COLUMNS, 1, 0.8))


def _typed(row: dict[str, str]) -> dict[str, Any]:
    """Returns the values of a row that has some, with points for decimal commas."""
    values: dict[str, Any] = {name: row[name] for name in _COLUMNS if row.get(name)}
    values |= {name: values[name].replace(",", ".") for name in _NUMBERS if name in values}
    extras = {name: cell for name, cell in row.items() if name not in _COLUMNS and cell}
    return {**values, "extras": extras}


def _invalid(path: Path, line: int, what: str) -> ConfigInvalid:
    return ConfigInvalid(f"line {line}: {what}", path, "Correct that line")
