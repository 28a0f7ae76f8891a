"""GUANO metadata: UTF-8 lines `Key: value` in a WAV file's `guan` chunk, or a tag.

Source: https://github.com/riggsd/guano-spec, version 1.0.
"""

from collections.abc import Mapping
from datetime import datetime

from badc_core.recordings.findings import Findings
from badc_core.recordings.naming import read_moment

_TEXT_FIELDS = {
    "Make": "device_make",
    "Model": "device_model",
    "Serial": "device_serial",
    "Firmware Version": "firmware",
    "PET|Gain": "gain",
    "OAD|Gain": "gain",
    "Gain": "gain",
}
# Outside comes last and wins over inside: it is what animals feel.
_NUMBER_FIELDS = {
    "Loc Elevation": "elevation_m",
    "OAD|Battery Voltage": "battery_v",
    "Temperature Int": "temperature_c",
    "Temperature Ext": "temperature_c",
}
_MULTILINE = ("Note",)
_WHITESPACE = " \t\r\n\0"


def read_guano(tags: Mapping[str, str]) -> Findings | None:
    """Returns the facts in the GUANO text among a file's tags; None without one."""
    content = tags.get("GUAN") or tags.get("GUANO")
    if content is None:
        # Converters keep it as they keep any comment.
        content = next((text for text in tags.values() if text.startswith("GUANO|Version")), None)
    return None if content is None else interpret_guano(parse_guano(content))


def parse_guano(content: str) -> dict[str, str]:
    """Returns key -> value, namespaces included, surrounding whitespace dropped."""
    values: dict[str, str] = {}
    for line in content.lstrip("\ufeff").split("\n"):
        key, colon, value = line.partition(":")
        if not colon or not (key := key.strip(_WHITESPACE)):
            continue
        value = value.strip(_WHITESPACE)
        values[key] = value.replace("\\n", "\n") if key in _MULTILINE else value
    return values


def interpret_guano(values: dict[str, str]) -> Findings:
    """Returns the fields that BADC knows, and the rest as comments."""
    clock, offset_min, warnings = _read_timestamp(values.get("Timestamp", ""))
    fields: dict[str, str | float] = {}
    known = {"GUANO|Version", "Timestamp"}
    for key, name in _TEXT_FIELDS.items():
        if values.get(key):
            fields[name] = values[key]
            known.add(key)
    for key, name in _NUMBER_FIELDS.items():
        if (number := _parse_number(values.get(key, ""))) is not None:
            fields[name] = number
            known.add(key)
    if position := _parse_position(values.get("Loc Position", "")):
        fields["latitude"], fields["longitude"] = position
        known.add("Loc Position")
    expansion = _parse_number(values.get("TE", "")) or 1
    if expansion != 1:
        warnings.append(f"The recording is time-expanded {expansion:g} times.")
    comments = {key: value for key, value in values.items() if key not in known and value}
    if "Temperature Ext" in values and "Temperature Int" in values:
        comments["Temperature Int"] = values["Temperature Int"]
    return Findings("guano", clock, offset_min, fields, comments, tuple(warnings))


def _read_timestamp(text: str) -> tuple[datetime | None, int | None, list[str]]:
    if not text:
        return None, None, []
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        if (read := read_moment(text)) is not None:
            return *read, []
        return None, None, [f"The GUANO timestamp {text!r} is not a time."]
    offset = moment.utcoffset()
    offset_min = None if offset is None else round(offset.total_seconds() / 60)
    return moment.replace(tzinfo=None), offset_min, []


def _parse_number(text: str) -> float | None:
    """Returns a number, whose unit may follow after a space or directly."""
    try:
        return float(text.split(maxsplit=1)[0].rstrip("VCm°"))
    except (ValueError, IndexError):
        return None


def _parse_position(text: str) -> tuple[float, float] | None:
    parts = text.replace(",", " ").split()
    if len(parts) != 2:  # noqa: PLR2004
        return None
    latitude, longitude = (_parse_number(part) for part in parts)
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:  # noqa: PLR2004
        return None
    return latitude, longitude
