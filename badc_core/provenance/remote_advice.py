"""Why git-annex could not do something with a file, and what to do about a remote it cannot use."""

import html
import re
import shlex
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from badc_core.annexed_files import quote_path
from badc_core.errors import RepositoryFailed
from badc_core.provenance.programs import LONGEST_MESSAGE

_UNABLE = re.compile(r"Unable to access these remotes: (.+)")
_REMOTES = ("refs/heads/git-annex:remote.log", "refs/remotes/origin/git-annex:remote.log")


class RemoteAdvice:
    """What to do about the remotes of one repository, looked up once for each remote."""

    def __init__(self, root: Path, read: Callable[..., str]) -> None:
        """Takes the repository's root and a function that returns what a git command writes."""
        self._annex = f"git -C {quote_path(root)} annex"
        self._read = read
        self._about_unable = cache(self._advise_on_unable)
        self._enabling = cache(self._advise_enabling)

    def explain(self, result: Mapping[str, Any]) -> str:
        """Returns the reason in a result of git-annex, in one line, and what to do.

        Args:
            result: a JSON object of git-annex, of something that failed.
        """
        words = result.get("error-messages") or [result.get("note", "")]
        reason = "; ".join(" ".join(one.split()) for one in words) or "no reason given"
        reason = reason[:LONGEST_MESSAGE]
        wanted = result.get("wanted", ())
        if places := ", ".join(one["description"] for one in wanted):
            reason += f"; {places} should have it"
        if unable := _UNABLE.search("\n".join(words)):
            return reason + "".join(map(self._about_unable, unable[1].split(", ")))
        return reason + "".join(self._enabling(one["uuid"]) for one in wanted)

    def _advise_on_unable(self, name: str) -> str:
        verified = self._read("config", "--default", "", "--get", f"remote.{name}.annex-verified")
        word = shlex.quote(name)  # whoever pushes to the archive names remotes
        if verified.strip() == "manual":
            return f"; if {name} is what you expect, run: {self._annex} verifyremote {word}"
        return (
            f"; see that {name} can be reached; if it has moved, run: "
            f"{self._annex} enableremote {word}"
        )

    def _advise_enabling(self, uuid: str) -> str:
        """Returns how to enable a special remote that this clone does not use yet, or nothing."""
        if f".annex-uuid={uuid}" in self._read("config", "--list"):
            return ""
        settings = self._special_remotes().get(uuid)
        if settings is None:
            return ""
        # Source: git-annex's page on directory special remotes: the path differs by machine.
        where = " directory=FOLDER" if settings.get("type") == "directory" else ""
        name = shlex.quote(html.unescape(settings["name"].replace("&", "&#")))
        return f"; to use it here, run: {self._annex} enableremote {name}{where}"

    def _special_remotes(self) -> dict[str, dict[str, str]]:
        """Returns uuid -> settings of the special remotes that the repository has heard of.

        Values are as in the file, where a space is `&32;`.

        Source: git-annex's page on its internals, `remote.log`; its `Logs/Remote/Pure.hs`.
        """
        found: dict[str, dict[str, str]] = {}
        for name in _REMOTES:
            try:
                lines = self._read("cat-file", "blob", name).splitlines()
            except RepositoryFailed:
                continue
            for uuid, *pairs in (line.split(" ") for line in lines):
                settings = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
                if "name" in settings:
                    found.setdefault(uuid, settings)
        return found
