"""What may be written into the files of a job: times, JSON values, names.

Metadata comes from stages of all kinds, and none may fail at its end because of what it says about
itself: what JSON does not have is written as text.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.atomic import write_text
from badc_core.errors import BadcError, ConfigInvalid
from badc_core.file_names import require_name

SCHEMA_VERSION = 1
"""Raised whenever the meaning of a field of these files changes."""

_DEEPEST = 20
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def now_text() -> str:
    """Returns the time in UTC, with its offset."""
    return datetime.now(UTC).isoformat()


def read_time(text: Any) -> datetime:
    """Returns a moment, for comparing; one without an offset is in this machine's time zone.

    What is not a time is earlier than all others.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return _EARLIEST


def to_json(value: Any, depth: int = 0) -> Any:
    """Returns a value that JSON has; numbers that are not finite become null."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {str(key): to_json(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [to_json(one, depth + 1) for one in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of numpy
        return to_json(value.item(), depth + 1)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object as TOML has it, which has no null."""
    return {
        key: without_none(one) if isinstance(one, Mapping) else one
        for key, one in json.loads(json.dumps(to_json(value))).items()
        if one is not None
    }


def write_json(path: Path, content: Mapping[str, Any], *, can_be_made_again: bool = False) -> None:
    """Replaces a file by an object, for people to read; arguments as of `atomic.replacing`.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    write_text(path, as_text(content), can_be_made_again=can_be_made_again)


def as_text(content: Mapping[str, Any]) -> str:
    """Returns an object as JSON, for people to read."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"  # a name that is not UTF-8
    return text


def explain_type(error: BaseException) -> str:
    """Returns the type of an exception and what it says."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def explain_ending(error: BaseException) -> str:
    """Returns why an exception ended some work, for people: also an interruption is one."""
    if not isinstance(error, Exception):
        return "interrupted"
    return str(error) if isinstance(error, BadcError) else explain_type(error)


def checked_name(text: object, what: str) -> str:
    """Returns a name that files may have.

    Args:
        text: the name.
        what: it is the name of, for the message.

    Raises:
        ConfigInvalid: it would lead elsewhere, or cannot name files.
    """
    try:
        return require_name(str(text))
    except ValueError as error:
        raise ConfigInvalid(
            f"this name of a {what} {error}", str(text)[:80], "Use letters, digits, - and _"
        ) from error
