"""What a secret looks like, and keeping secrets out of what others may read.

A variable is secret by its name, or because its value is a private key or a URL with a password.
"""

import base64
import html
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

MASK = "***"

_SECRET = re.compile(
    r"TOKEN|SECRET(?!ARY)|PASSW|PASSPHRASE|CREDENTIAL|BEARER|COOKIE|(API|ACCESS|PRIVATE)KEY"
    r"|(^|[_-])(KEY|PASS)([_-]|$)|[_-]PWD([_-]|$)|AUTH(?!ORS?([_-]|$))"
)
_PERCENT = re.compile("%[0-9A-F]{2}")
_PRIVATE_KEY = "PRIVATE KEY-----"
_URL_PASSWORD = re.compile(r"(?<=://)[^/\s]*(?=@)")
_NO_SECRETS = frozenset({"true", "false", "none", "null", "auto"})
_LONGEST_LINE_BYTES = 1 << 20
_SHORTEST = 4
_SHORTEST_IN_PATHS = 12


def is_secret(name: str, value: str = "") -> bool:
    """Returns whether the value of a variable must not be seen by others."""
    is_named_so = _SECRET.search(name.upper()) is not None
    return is_named_so or _URL_PASSWORD.search(value) is not None or _PRIVATE_KEY in value


class Secrets:
    """The secret values of some variables, which it replaces by `***` wherever they occur.

    In texts those of four letters and more are replaced. In paths and settings, which must stay
    usable, only those of twelve and more are: a password may also be the name of a folder.

    Args:
        variables: name -> value, of secret variables and others.

    Attributes:
        longest_bytes: length of the longest secret in UTF-8; 0 without secrets.
    """

    def __init__(self, *variables: Mapping[str, str | None]) -> None:
        found = {
            secret
            for one in variables
            for name, value in one.items()
            if value and is_secret(name, value)
            for secret in _parts(value)
        }
        self._in_texts = _any_of(found, _SHORTEST)
        self._in_paths = _any_of(found, _SHORTEST_IN_PATHS)
        self._in_any_bytes = re.compile(_encoded(self._in_texts.pattern))
        self._in_bytes = re.compile(_encoded(self._in_paths.pattern))
        self.longest_bytes = max((len(_encoded(one)) for one in found), default=0)

    def mask_text(self, text: str) -> str:
        """Returns a text without secrets."""
        return _URL_PASSWORD.sub(MASK, self._in_texts.sub(MASK, text))

    def mask_command(self, words: Sequence[str]) -> str:
        """Returns a command, as it would be typed, without secrets.

        The value of `NAME=value`, `--name=value` and `--name value` is one if the name says so.
        """
        masked: list[str] = []
        is_hidden = False
        for word in words:
            name, sign, value = word.partition("=")
            is_named = is_secret(name.rpartition(".")[2].lstrip("-"))
            if is_hidden and not word.startswith("--"):
                masked.append(MASK)
            elif sign and value and is_named:
                masked.append(f"{name}={MASK}")
            else:
                masked.append(self.mask_text(word))
            is_hidden = is_named and not sign and word.startswith("-")
        return " ".join(one if MASK in one else shlex.quote(one) for one in masked)

    def mask_bytes(self, content: bytes) -> bytes:
        """Returns bytes, of text in UTF-8 or not, without secrets."""
        text = self.mask_text(content.decode("utf-8", "surrogateescape"))
        return _encoded(text)

    def mask_path(self, path: str) -> str:
        """Returns a path without secrets that nobody would have as the name of a folder."""
        return self._in_paths.sub(MASK, path)

    def are_in(self, content: bytes) -> bool:
        """Returns whether a secret that is nothing else by chance is in the content of a file."""
        return bool(self.longest_bytes) and self._in_bytes.search(content) is not None

    def safe_end(self, content: bytes) -> int:
        """Returns where bytes may be cut so that no secret is: in none, and none begins there."""
        end = max(0, len(content) - self.longest_bytes)
        for found in self._in_any_bytes.finditer(content):
            if found.start() < end < found.end():
                return found.end()
        return end

    def mask_json(self, value: Any) -> Any:
        """Returns a JSON value without secrets.

        Under the name of a secret every text and number is one, in lists and objects too.

        Args:
            value: what `json` can write.
        """
        return _mask(value, self.mask_text)

    def mask_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings of a dataset without secrets."""
        masked: dict[str, Any] = _mask(settings, self._mask_setting)
        return masked

    def _mask_setting(self, text: str) -> str:
        return _URL_PASSWORD.sub(MASK, self.mask_path(text))


class MaskedStream:
    """Replaces secrets in what comes piece by piece, wherever pieces end.

    What is on a line is kept back until the line ends.

    Args:
        secrets: to be replaced.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._kept = bytearray()

    def add(self, piece: bytes) -> bytes:
        """Returns what is known to have no secret in it, after another piece has come."""
        self._kept += piece
        end = max(self._kept.rfind(b"\n"), self._kept.rfind(b"\r")) + 1
        if not end and len(self._kept) > _LONGEST_LINE_BYTES:
            end = self._secrets.safe_end(bytes(self._kept))
        return self._take(end)

    def end(self) -> bytes:
        """Returns the rest."""
        return self._take(len(self._kept))

    def _take(self, end: int) -> bytes:
        taken = bytes(self._kept[:end])
        del self._kept[:end]
        return self._secrets.mask_bytes(taken) if taken else b""


def _mask(value: Any, mask: Callable[[str], str], is_hidden: bool = False) -> Any:
    """Returns a JSON value with its texts masked; if it is hidden, numbers and all texts are."""
    if isinstance(value, Mapping):
        return {
            mask(key): _mask(one, mask, is_hidden or is_secret(key)) for key, one in value.items()
        }
    if isinstance(value, list):
        return [_mask(one, mask, is_hidden) for one in value]
    if isinstance(value, bool) or value in (None, ""):
        return value
    if is_hidden:
        return MASK
    return mask(value) if isinstance(value, str) else value


def _encoded(text: str) -> bytes:
    """Returns a text as bytes; a variable's value need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _lower(found: re.Match[str]) -> str:
    return found.group().lower()


def _parts(value: str) -> Iterable[str]:
    """Yields a secret value, its lines, the password of a URL, and how programs print each."""
    parts = {value, *value.splitlines()}
    for found in _URL_PASSWORD.findall(value):
        parts |= {found, found.partition(":")[2]}
    # The length of what was typed counts: encoded, a single letter is long.
    for part in (one for one in parts if len(one.strip()) >= _SHORTEST):
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(part)[1:-1]
        yield shlex.quote(part)
        for safe in ("", "/"):
            quoted = quote(part, safe=safe, errors="surrogateescape")
            lower = _PERCENT.sub(_lower, quoted)
            yield from (one.replace("%20", by) for one in (quoted, lower) for by in ("%20", "+"))
        yield html.escape(part)
        yield base64.b64encode(part.encode(errors="surrogateescape")).decode()


def _any_of(secrets: Iterable[str], shortest: int) -> re.Pattern[str]:
    """Returns what finds any of some texts, the longest first."""
    kept = {one.strip() for one in secrets if one.strip().lower() not in _NO_SECRETS}
    long_enough = sorted((one for one in kept if len(one) >= shortest), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, long_enough)) or r"(?!)")
