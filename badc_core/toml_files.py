"""Reading TOML files that people wrote, with whatever editor."""

import tomllib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import Any

from badc_core.errors import ConfigInvalid


def read_toml(path: Path, remedy: str = "") -> dict[str, Any]:
    """Returns the content of a TOML file: UTF-8, or with a byte order mark UTF-16 too.

    Args:
        path: the file.
        remedy: what to do where it is not TOML; empty for correcting it.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigInvalid: it cannot be read, or is not TOML.
    """
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
