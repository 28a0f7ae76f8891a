"""The texts in the chunks of a WAV file that say where, when and with what it was recorded.

What they mean is in `recordings/guano.py`, `audiomoth.py`, `wamd.py` and `bext.py`.

Sources: Multimedia Programming Interface 1.0 (LIST INFO); https://github.com/riggsd/guano-spec;
EBU Tech 3285 (bext); Wildlife Acoustics, wa_meta.h 1.0, as
https://github.com/QutEcoacoustics/emu keeps it in docs/WildlifeAcoustics (wamd).
"""

import struct

from badc_core.audio.riff import parse_info

TEXT_CHUNKS = frozenset({"LIST", "guan", "bext", "wamd"})

# Name -> where it begins in a bext chunk and how long it is.
_BEXT_FIELDS = {
    "BEXT DESCRIPTION": (0, 256),
    "BEXT ORIGINATOR": (256, 32),
    "BEXT DATE": (320, 10),
    "BEXT TIME": (330, 8),
}
_WAMD_VERSION, _KNOWN_WAMD_VERSION, _VERSION_BYTES = 0, 1, 2
_WAMD_TEXTS = {
    1: "MODEL",
    2: "SERIAL",
    3: "FIRMWARE",
    4: "PREFIX",
    5: "TIMESTAMP",
    6: "POSITION",
    10: "NOTES",
    11: "AUTO ID",
    12: "MANUAL ID",
    18: "MICROPHONE",
    19: "SENSITIVITY",
    20: "LAST POSITION",
    21: "TEMPERATURE INT",
    22: "TEMPERATURE EXT",
    23: "HUMIDITY",
    24: "LIGHT",
}
_WAMD_TIME_EXPANSION = 15


def parse_chunk(name: str, content: bytes) -> dict[str, str]:
    """Returns the texts in the content of a chunk, name -> text; none for other chunks."""
    if name == "guan":
        return {"GUAN": clean_text(content)}
    if name == "LIST" and content[:4] == b"INFO":
        return parse_info(content[4:])
    if name == "bext":
        fields = {
            name: clean_text(content[start : start + length].partition(b"\0")[0])
            for name, (start, length) in _BEXT_FIELDS.items()
        }
        return {name: text for name, text in fields.items() if text}
    return _parse_wamd(content) if name == "wamd" else {}


def clean_text(content: bytes) -> str:
    """Returns a text without the zeros and spaces around it."""
    return content.decode("utf-8", "replace").strip("\0 \r\n")


def _parse_wamd(content: bytes) -> dict[str, str]:
    """Returns the texts in `wamd`; of an unknown version only that.

    Zeros behind them are no entry.
    """
    texts: dict[str, str] = {}
    position = 0
    while position + 6 <= len(content):
        kind, size_bytes = struct.unpack_from("<HI", content, position)
        value = content[position + 6 : position + 6 + size_bytes]
        number = int.from_bytes(value[:2], "little")
        if kind == _WAMD_VERSION and size_bytes >= _VERSION_BYTES and number != _KNOWN_WAMD_VERSION:
            return {"WAMD VERSION": str(number)}
        if kind == _WAMD_TIME_EXPANSION and number > 1:
            texts["WAMD TIME EXPANSION"] = str(number)
        if kind in _WAMD_TEXTS and (text := clean_text(value)):
            texts[f"WAMD {_WAMD_TEXTS[kind]}"] = text
        position += 6 + size_bytes
    return texts
