"""Metadata of Wildlife Acoustics: the chunk `wamd` that Song Meters and Echo Meters write.

Source: Wildlife Acoustics, wa_meta.h 1.0, as https://github.com/QutEcoacoustics/emu keeps it in
docs/WildlifeAcoustics. Its parts are read in `audio/wave_texts.py`.
"""

import re
from collections.abc import Mapping

from badc_core.recordings.findings import Findings
from badc_core.recordings.naming import read_moment

_PREFIX = "WAMD "
_FIELDS = {"MODEL": "device_model", "SERIAL": "device_serial", "FIRMWARE": "firmware"}
# Outside wins over inside, as in GUANO.
_TEMPERATURES = ("TEMPERATURE EXT", "TEMPERATURE INT")
_POSITIONS = ("POSITION", "LAST POSITION")
_NUMBER = r"\d+(?:\.\d+)?"
_POSITION = re.compile(
    rf"WGS84, *({_NUMBER}), *([NS]), *({_NUMBER}), *([EW])(?:, *(-?{_NUMBER}))?.*"
)
_CELSIUS = re.compile(rf"([+-]?{_NUMBER}) *°?C?")


def read_wamd(tags: Mapping[str, str]) -> Findings | None:
    """Returns the facts in the Wildlife Acoustics metadata among a file's tags; None without."""
    texts = {
        name.removeprefix(_PREFIX): text for name, text in tags.items() if name.startswith(_PREFIX)
    }
    if not texts:
        return None
    if "VERSION" in texts:
        what = f"Its Wildlife Acoustics metadata is of version {texts['VERSION']}, and not read."
        return Findings("wamd", warnings=(what,))
    fields: dict[str, str | float] = {"device_make": "Wildlife Acoustics"}
    fields |= {name: texts.pop(key) for key, name in _FIELDS.items() if key in texts}
    fields |= _read_position(texts) | _read_temperature(texts)
    warnings = []
    if expansion := texts.pop("TIME EXPANSION", ""):
        warnings.append(f"The recording is time-expanded {expansion} times.")
    timestamp = texts.pop("TIMESTAMP", "")
    moment = read_moment(timestamp)
    if timestamp and moment is None:
        warnings.append(f"The Wildlife Acoustics timestamp {timestamp!r} is not a time.")
    clock, offset_min = moment or (None, None)
    comments = {name.capitalize(): text for name, text in texts.items()}
    return Findings("wamd", clock, offset_min, fields, comments, tuple(warnings))


def _read_position(texts: dict[str, str]) -> dict[str, str | float]:
    """Takes the position where the recording began, else the last one that was known.

    Without letters for the hemispheres, as some apps write it, a position is not believed.
    """
    for name in _POSITIONS:
        if match := _POSITION.fullmatch(texts.get(name, "")):
            del texts[name]
            found: dict[str, str | float] = {
                "latitude": float(match[1]) * (-1 if match[2] == "S" else 1),
                "longitude": float(match[3]) * (-1 if match[4] == "W" else 1),
            }
            return found | ({"elevation_m": float(match[5])} if match[5] else {})
    return {}


def _read_temperature(texts: dict[str, str]) -> dict[str, str | float]:
    for name in _TEMPERATURES:
        if match := _CELSIUS.fullmatch(texts.get(name, "")):
            del texts[name]
            return {"temperature_c": float(match[1])}
    return {}
