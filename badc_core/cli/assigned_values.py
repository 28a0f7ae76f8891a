"""The value of `--set section.key=value`: TOML, except that a text needs no quotes.

What is TOML for something else, such as the time `02:00:00` or `true`, is the text that was typed
where the setting takes a text, and nothing of that kind.
"""

import tomllib
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from badc_core.settings import Settings


def read_value(place: Sequence[str], text: str) -> Any:
    """Returns the value that was typed for a setting.

    Args:
        place: section, key and so on.
        text: what was typed.
    """
    typed = text.strip()
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return typed
    kind = _type_of_setting(place)
    return typed if not _takes(kind, value) and _takes(kind, typed) else value


def _type_of_setting(place: Sequence[str]) -> Any:
    """Returns what a setting is declared as; `Any` where there is none of that name."""
    found: Any = Settings
    for key in place:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(key)
            found = field.annotation if field else Any
        elif get_origin(found) is dict:
            found = get_args(found)[1]
        else:
            return Any
    return found


def _takes(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
