"""What pydantic refused, in one line for people; and reading JSON into its models.

Every module that reads input through a pydantic model explains failures here, so that a wrong value
reads the same in `badc.toml`, an option, a manifest and a detector's output.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from badc_core.units import shorten

_LONGEST_VALUE = 40
_MOST = 5
_MOST_NAMED = 5
_MUST_BE = {
    "a number": {"float_type", "float_parsing"},
    "a whole number": {"int_type", "int_parsing", "int_from_float"},
    "text": {"string_type"},
    "true or false": {"bool_type", "bool_parsing"},
    "a list": {"list_type", "tuple_type"},
    "an object": {"dict_type", "model_type", "model_attributes_type"},
}
_PLAIN = {kind: f"must be {what}" for what, kinds in _MUST_BE.items() for kind in kinds}
_INPUT_TYPES = (str, int, float, bool, type(None), list, dict)


def explain_invalid(
    error: ValidationError, model: type[BaseModel] | None = None, noun: str = "key"
) -> str:
    """Returns the first problems that pydantic found, in one line.

    Args:
        error: what was raised.
        model: what was validated; with it an unknown key is answered with the valid ones.
        noun: what a key is called: `setting`, `key`, `option`.
    """
    problems = [_explain_one(dict(found), model, noun) for found in error.errors()[:_MOST]]
    n_more = error.error_count() - len(problems)
    return "; ".join([*problems, *[f"and {n_more} more problems"] * bool(n_more)])


def _explain_one(found: dict[str, Any], model: type[BaseModel] | None, noun: str) -> str:
    location = found["loc"]
    name = name_place(location)
    if found["type"] == "extra_forbidden":
        valid = _valid_keys(model, location[:-1])
        return f"unknown {noun} {name}" + (f"; valid here: {', '.join(valid)}" if valid else "")
    if found["type"] == "missing":
        return f"{name} is missing"
    message = explain_value(found)
    return f"{name}: {message}" if name else message


def explain_value(found: Any) -> str:
    """Returns what is wrong with one value: `must be a number, not 'high'`.

    Args:
        found: an entry of `ValidationError.errors()`.
    """
    message = str(found["msg"])
    if found["type"] == "value_error":
        return message.removeprefix("Value error, ")
    message = _PLAIN.get(found["type"]) or re.sub(r"^[A-Z][a-z]+ should", "must", message)
    return f"{message}, not {_show(found['input'])}"


def name_place(location: tuple[int | str, ...]) -> str:
    """Returns where a value is, as people write it: `detections[3].end_ms`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _show(value: Any) -> str:
    if not isinstance(value, _INPUT_TYPES):
        return f"a {type(value).__name__}"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}..."


def _valid_keys(model: Any, section: tuple[int | str, ...]) -> list[str]:
    """Returns the keys of a section of a model; none where it has no model of its own."""
    for part in section:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    return sorted(getattr(model, "model_fields", {}))


def suggest_names(wrong: str, known: Iterable[str]) -> str:
    """Returns advice about a name that is not known: those that are like it, or some of all."""
    names = sorted({*known})
    folded = {one.casefold(): one for one in names}
    near = [folded[one] for one in get_close_matches(wrong.casefold(), folded)]
    if near:
        return f"Perhaps: {', '.join(near)}"
    return f"There are: {', '.join(shorten(names, _MOST_NAMED)) or 'none'}"
