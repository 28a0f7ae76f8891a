"""Names and paths as people typed them, or edited them in files, before they are used."""

import os
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from badc_core.hashing import digest_json

_LONGEST_NAME_BYTES = 240
"""Leaves room for what the names of outputs end in, such as `_duckdb_exports`."""
_SHOWN_LETTERS = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
_LONGEST_SLUG = 60
_HASH_DIGITS = 8


def require_name(text: str) -> str:
    """Returns a name that files may have; raises ValueError for any other.

    A name with a folder in it would lead elsewhere, and one with a dot in front would be hidden.
    """
    if not text:
        raise ValueError("is empty")
    is_safe = text.isprintable() and not text.startswith(".") and not {*"/\\"} & {*text}
    if not (is_safe and len(os.fsencode(text)) <= _LONGEST_NAME_BYTES):
        raise ValueError(f"cannot name files: {text[:_SHOWN_LETTERS]!r}")
    return text


def are_names(texts: Sequence[str]) -> bool:
    """Returns whether `require_name` returns all of many texts; also False where that is unsure."""
    joined = "".join(texts)
    longest = _LONGEST_NAME_BYTES if joined.isascii() else _LONGEST_NAME_BYTES // 4
    is_safe = joined.isprintable() and "/" not in joined and "\\" not in joined
    is_safe = is_safe and {"", "."}.isdisjoint(one[:1] for one in texts)
    return is_safe and max(map(len, texts), default=0) <= longest


def require_inside(text: str) -> str:
    """Returns a path that stays below the folder it starts in; raises ValueError for any other.

    Links inside may lead anywhere: recordings may be on another disk.
    """
    if not text or "\0" in text or text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"is not a path inside the dataset: {text[:_SHOWN_LETTERS]!r}")
    return text


def are_inside(texts: Sequence[str]) -> bool:
    """Returns whether `require_inside` returns all of many texts; also False where it is unsure."""
    joined = "".join(texts)
    is_inside = "\0" not in joined and ".." not in joined
    return is_inside and {"", "/"}.isdisjoint(one[:1] for one in texts)


def absolute(path: Path) -> Path:
    """Returns an absolute path without `..`, which would give one file several names.

    Links are kept: what an annexed file links to is named by its content.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100


def to_ascii(text: str, longest: int) -> str:
    """Returns a text as every file system and web page takes it, `x` if nothing of it is left."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _UNSAFE.sub("-", ascii_only).strip("-.")[:longest] or "x"


@lru_cache(maxsize=10_000)
def to_file_name(*names: str | None) -> str:
    """Returns a name for the file about what people named, such as `barr-lake-3-1b0e22d1`.

    Other names give another one, on file systems too that take `A` for `a`.
    """
    slug = to_ascii(" ".join(name for name in names if name), _LONGEST_SLUG).lower()
    return f"{slug}-{digest_json(names)[:_HASH_DIGITS]}"


def explain_no_folder(path: Path) -> str:
    """Returns why a path that should be a folder is none."""
    return "not a folder" if os.path.lexists(path) else "no such folder"


FileName = Annotated[str, AfterValidator(require_name)]
PathInside = Annotated[str, AfterValidator(require_inside)]
