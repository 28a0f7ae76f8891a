"""The templates by which folders are read, `recordings.templates`, as patterns."""

import re
from functools import lru_cache

from badc_core.errors import ConfigInvalid

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|\*|([^{}*]+)")


@lru_cache(maxsize=64)
def compile_template(template: str) -> re.Pattern[str]:
    """Returns the pattern of a template such as `{study_area}/{A|B}/{location}/*`.

    Raises:
        ConfigInvalid: it has unbalanced braces or repeats a name.
    """
    parts: list[str] = []
    position = 0
    while position < len(template):
        match = _PLACEHOLDER.match(template, position)
        if match is None:
            raise ConfigInvalid("unbalanced braces", template, "Correct recordings.templates")
        parts.append(_template_part(match))
        position = match.end()
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise ConfigInvalid(
            f"not a path template ({error})", template, "Correct recordings.templates"
        ) from error


def _template_part(match: re.Match[str]) -> str:
    if match[0] == "*":
        return "[^/]+"
    if match[1] is None:
        return re.escape(match[2])
    if "|" in match[1]:
        return f"(?:{'|'.join(re.escape(word) for word in match[1].split('|'))})"
    return f"(?P<{match[1]}>[^/]+)"
