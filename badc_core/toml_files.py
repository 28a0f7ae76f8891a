"""TOML files: reading those that people wrote, with whatever editor, and writing lists of ours."""

import json
import re
import tomllib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from badc_core.annexed_files import require_fetched
from badc_core.errors import ConfigInvalid

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(path: Path, remedy: str = "") -> dict[str, Any]:
    """Returns the content of a TOML file: UTF-8, or with a byte order mark UTF-16 too.

    Args:
        path: the file.
        remedy: what to do where it is not TOML; empty for correcting it.

    Raises:
        FileNotFoundError: there is no such file.
        ContentMissing: it is annexed, and its content is not here.
        ConfigInvalid: it cannot be read, or is not TOML.
    """
    require_fetched(path)
    try:
        content = tomllib.loads(_decode(path.read_bytes()))
        _require_64_bits(content)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigInvalid(
            f"cannot be read ({error.strerror})", path, "Make it a readable file, or remove it"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"not valid TOML: not UTF-8 text ({error.reason} at byte {error.start})",
            path,
            remedy or "Save it as UTF-8",
        ) from error
    except RecursionError as error:
        what = "not valid TOML: lists or tables lie too deep in each other"
        raise ConfigInvalid(what, path, remedy or "Correct it") from error
    except tomllib.TOMLDecodeError as error:
        why = f"not valid TOML: {error}"
        raise ConfigInvalid(why, path, remedy or "Correct the line named") from error
    except ValueError as error:
        what = "not valid TOML: a number or a date in it is out of range"
        raise ConfigInvalid(what, path, remedy or "Correct it") from error
    return content


def render_toml(content: Mapping[str, Any]) -> str:
    """Returns tables as TOML text: what `read_toml` would return them from.

    Args:
        content: of texts, numbers, times, lists and further tables.
    """
    return "\n".join(_render_table(content, ())).lstrip("\n") + "\n"


def render_value(value: Any) -> str:
    """Returns a value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = (f"{_render_key(key)} = {render_value(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(render_value, value))}]"
    return _render_text(value)


def _render_table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if _is_tables(value)}
    for key, value in table.items():
        if key not in inner:
            yield f"{_render_key(key)} = {render_value(value)}"
    for key, value in inner.items():
        place = (*path, _render_key(key))
        is_one = isinstance(value, Mapping)
        heading = f"[{'.'.join(place)}]"
        for one in [value] if is_one else value:
            yield from ("", heading if is_one else f"[{heading}]")
            yield from _render_table(one, place)


def _is_tables(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping)


def _render_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _render_text(key)


def _render_text(text: str) -> str:
    """Returns a basic string; JSON's escapes are among TOML's, which has one more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _require_64_bits(value: Any) -> None:
    """Raises ValueError for a whole number that TOML has no place for."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("too large")
    for one in value.values() if isinstance(value, dict) else ():
        _require_64_bits(one)
    for one in value if isinstance(value, list) else ():
        _require_64_bits(one)


def _decode(content: bytes) -> str:
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.removeprefix(BOM_UTF8).decode("utf-8")
