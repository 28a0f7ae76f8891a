"""Parts of file names from names of species and places, safe on every system."""

import re
import unicodedata
from collections.abc import Iterable

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


def name_parts(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Returns name -> part of a file name: plain ASCII, different from all others in any case.

    Args:
        names: in the order in which they get the shorter part where several would have the same.
        taken: parts that none may have.
    """
    used = {one.lower() for one in taken}
    parts: dict[str, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        begun = part = _UNSAFE.sub("_", plain).strip("._-") or "unnamed"
        number = 2
        while part.lower() in used:
            part, number = f"{begun}_{number}", number + 1
        used.add(part.lower())
        parts[name] = part
    return parts
