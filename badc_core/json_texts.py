"""Reading JSON that other programs wrote, or that a disk may have damaged since."""

import json
from typing import Any


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Returns the object that a JSON text is.

    Raises:
        ValueError: it is none, or lists and objects lie too deep in each other.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("lists or objects lie too deep in each other") from error
    if not isinstance(content, dict):
        raise ValueError("must be an object")  # noqa: TRY004  (one error for all that is not)
    return content
