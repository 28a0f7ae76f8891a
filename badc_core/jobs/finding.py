"""Finding the folders of jobs by day, user and id.

What a job is doing is in `job_states.py`. Only the names of one day's jobs are in memory at a time.
Folders of others that may not be read are noted, and the rest is found.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from badc_core.accounts import owner_name
from badc_core.errors import JobUnknown, OutputUnwritable
from badc_core.jobs.folders import day_folder
from badc_core.jobs.places import JobPlaces

_ID = re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})-(?P<number>\d{3,})", re.ASCII)
_LEVELS = (r"\d{4}", r"\d{2}", r"\d{2}")
_MOST_LOOKED_AT, _MOST_NAMED = 10_000, 3


@dataclass(frozen=True)
class JobFolders:
    """A job, by its folders.

    Attributes:
        job_id: of the job.
        user: whose it is.
        output_dir: its outputs, with its manifest.
        log_dir: its logs.
    """

    job_id: str
    user: str
    output_dir: Path
    log_dir: Path


class JobFinder:
    """Finds jobs.

    Attributes:
        unreadable: folders that may have jobs in them and cannot be read, with the reason.
    """

    def __init__(self, places: JobPlaces) -> None:
        self.places = places
        self.unreadable: dict[Path, str] = {}

    def jobs(self, user: str | None = None, day: date | None = None) -> Iterator[JobFolders]:
        """Yields jobs, the newest first.

        Args:
            user: only theirs.
            day: only those of this day.
        """
        for one in self._days() if day is None else [day]:
            folder = day_folder(self.places.output_root, one)
            users = [user] if user is not None else [
                name for name in self._names(folder) if not name.startswith(".")
            ]  # fmt: skip
            found = [
                (int(match["number"]), name, owner)
                for owner in users
                for name in self._names(folder / owner)
                if (match := _ID.fullmatch(name)) and _day_of(match) == one
            ]
            for _, name, owner in sorted(found, reverse=True):
                yield self._folders(one, owner, name)

    def find(self, job_id: str) -> JobFolders:
        """Returns a job.

        Raises:
            JobUnknown: there is none with this id; similar ones are named.
        """
        match = _ID.fullmatch(job_id)
        day = _day_of(match) if match else None
        if day is not None:
            folder = day_folder(self.places.output_root, day)
            for owner in self._names(folder):
                if os.path.lexists(folder / owner / job_id):
                    return self._folders(day, owner, job_id)
        raise JobUnknown("there is no such job", job_id[:80], self._advise(job_id[:80]))

    def _advise(self, job_id: str) -> str:
        ids = [one.job_id for one in islice(self.jobs(), _MOST_LOOKED_AT)]
        parts = [one for one in ids if job_id and job_id in one]
        near = [*parts, *get_close_matches(job_id, ids, _MOST_NAMED, cutoff=0.7)]
        named = list(dict.fromkeys(near))[:_MOST_NAMED]
        advice = f"Did you mean {' or '.join(named)}?" if named else "See: badc job list"
        hidden = "".join(
            f" Jobs may also be in {folder}, which cannot be read ({reason})"
            for folder, reason in islice(self.unreadable.items(), _MOST_NAMED)
        )
        return f"{advice}{hidden}" if ids or hidden else f"No jobs are in {self.places.output_root}"

    def _folders(self, day: date, user: str, job_id: str) -> JobFolders:
        places = self.places
        roots = [day_folder(one, day) for one in (places.output_root, places.log_root)]
        return JobFolders(job_id, user, *[one / user / job_id for one in roots])

    def _days(self) -> Iterator[date]:
        """Yields days that have a folder, the last first."""
        folders = [self.places.output_root]
        for depth, level in enumerate(_LEVELS):
            if depth < len(_LEVELS) - 1:
                folders = [one / name for one in folders for name in self._matching(one, level)]
        for month in folders:
            for name in self._matching(month, _LEVELS[-1]):
                try:
                    yield date(int(month.parent.name), int(month.name), int(name))
                except ValueError:
                    continue

    def _matching(self, folder: Path, pattern: str) -> list[str]:
        names = self._names(folder)
        return sorted((one for one in names if re.fullmatch(pattern, one, re.ASCII)), reverse=True)

    def _names(self, folder: Path) -> list[str]:
        """Returns what is in a folder; nothing if it is missing or no folder."""
        try:
            return os.listdir(folder)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            self.unreadable[folder] = error.strerror or str(error)
        return []


@contextmanager
def naming_unreadable(path: Path) -> Iterator[None]:
    """Turns an OSError of reading a file or folder in the block into an error with advice.

    Raises:
        JobUnknown: it cannot be read.
    """
    try:
        yield
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise JobUnknown(what, path, "Make it readable, or ask whose it is") from error


def require_writable(folder: Path) -> None:
    """Makes sure that this account may change a job.

    Raises:
        OutputUnwritable: it may not, as the job is somebody else's.
    """
    if not os.access(folder, os.W_OK):
        owner = owner_name(folder)
        what = f"this job is {owner}'s, and you may not write into its folder"
        raise OutputUnwritable(what, folder, f"Ask {owner} to type this command")


def _day_of(match: re.Match[str]) -> date | None:
    try:
        return date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None
