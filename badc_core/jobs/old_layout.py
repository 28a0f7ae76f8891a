"""The layout before there were jobs, `out/TITLE_YEAR/`: finding its folders and manifests.

Copying them is in `migrating.py`. Two kinds of manifest were written there: one knows the folder
(`movie_dir`), the later one also job, user and input.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from badc_core.errors import JobUnknown
from badc_core.file_names import absolute, explain_no_folder, require_name
from badc_core.jobs.layout import COMPLETED, Json, is_manifest
from badc_core.jobs.manifest_files import MANIFEST
from badc_core.jobs.values import read_time
from badc_core.json_texts import parse_object

_NAMED = re.compile(r"(?P<title>.*?[^\s._(\[-])[\s._(\[-]+(?P<year>(?:18|19|20|21)\d\d)(?!\d)")
_YEAR = re.compile(r"\d{4}", re.ASCII)
_LONGEST_REASON = 200


@dataclass(frozen=True)
class OldJob:
    """A folder of the old layout.

    Attributes:
        folder: absolute.
        day: on which it was begun.
        user: whose it was; empty if nobody knows.
        manifest: its manifest, with title and year; without stages if it cannot be read.
        problem: why its manifest cannot be read; empty if it can.
    """

    folder: Path
    day: date
    user: str
    manifest: Json
    problem: str


def parse_title(name: str) -> tuple[str, int | None]:
    """Returns title and year that the name of a file or folder begins with; None without a year."""
    found = _NAMED.match(name)
    title, year = (found["title"], int(found["year"])) if found else (name, None)
    return re.sub(r"[\s._]+", " ", title).strip(), year


def find_old_jobs(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the folders of old jobs, and folders passed over.

    Args:
        folder: of one, or one that has them in it.

    Raises:
        JobUnknown: there are none, or it cannot be read.
    """
    folder = absolute(folder)
    if _is_old_job(folder):
        return [folder], []
    try:
        below = sorted(one for one in folder.iterdir() if one.is_dir())
    except OSError as error:
        what = explain_no_folder(folder) if not folder.is_dir() else str(error.strerror)
        raise JobUnknown(what, folder, "Name the folder that has TITLE_YEAR folders") from error
    found = [one for one in below if _is_old_job(one)]
    if not found:
        what = "no folder of the old layout is here (TITLE_YEAR, or with a manifest.json)"
        raise JobUnknown(what, folder, "Name the folder that has them")
    others = [one for one in below if one not in found]
    new_layout = [one for one in others if _YEAR.fullmatch(one.name) or one.name.startswith(".")]
    return found, [one for one in others if one not in new_layout]


def read_old_job(folder: Path) -> OldJob:
    """Returns what is known of an old job; a manifest that cannot be read is a problem of it.

    Raises:
        OSError: the folder cannot be read.
    """
    manifest, problem = _read_manifest(folder / MANIFEST)
    title, year = parse_title(folder.name)
    about = manifest.get("input", {})
    manifest["input"] = {
        **about,
        "title": about.get("title") or title,
        "year": about.get("year") or year,
    }
    begun = _begun(manifest) or _first_change(folder)
    manifest.setdefault("created_at", begun.isoformat())
    manifest.setdefault("movie_dir", str(folder))
    _finish(manifest)
    return OldJob(folder, begun.date(), _user(manifest.get("user_id")), manifest, problem)


def _is_old_job(folder: Path) -> bool:
    is_named = parse_title(folder.name)[1] is not None and not folder.name.startswith(".")
    return folder.is_dir() and (is_named or (folder / MANIFEST).is_file())


def _read_manifest(path: Path) -> tuple[Json, str]:
    try:
        content = parse_object(path.read_bytes())
    except FileNotFoundError:
        return {}, f"{path} is missing"
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        return {}, f"{path} is damaged ({reason})"
    return (content, "") if is_manifest(content) else ({}, f"{path} is no manifest")


def _begun(manifest: Json) -> datetime | None:
    """Returns when a job was begun, by its own clock."""
    stages = manifest.get("stages", {}).values()
    texts = [manifest.get("created_at"), *[one.get("started_at") for one in stages]]
    moments = [one for text in texts if (one := _parse(text)) is not None]
    return moments[0] if moments else None


def _parse(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _first_change(folder: Path) -> datetime:
    """Returns when the oldest file of a folder was changed last."""
    times = [one.lstat().st_mtime for one in folder.rglob("*") if not one.is_dir()]
    first = min(times, default=folder.stat().st_mtime)
    return datetime.fromtimestamp(first).astimezone()


def _finish(manifest: Json) -> None:
    """Adds the time at which a pipeline was over, which manifests of the first kind lack."""
    timing = manifest.get("timing") or {}
    if manifest.get("pipeline", {}).get("status") != COMPLETED or timing.get("completed_at"):
        return
    stages = manifest.get("stages", {}).values()
    texts = [manifest.get("updated_at"), *[one.get("completed_at") for one in stages]]
    last = max(filter(None, texts), key=read_time, default=manifest["created_at"])
    manifest["timing"] = {**timing, "completed_at": last}


def _user(given: Any) -> str:
    try:
        return require_name(str(given)) if given is not None else ""
    except ValueError:
        return ""


def list_files(folder: Path) -> Iterator[Path]:
    """Yields everything in a folder, a folder before what is in it; links are not followed.

    Raises:
        OSError: a folder cannot be read.
    """
    for one in sorted(folder.iterdir()):
        yield one
        if one.is_dir() and not one.is_symlink():
            yield from list_files(one)
