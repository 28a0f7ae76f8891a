"""What a station is called, and how one page of the site links to another file."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote


class Station(NamedTuple):
    """A station; None where its name, or that of its study area, is not known."""

    study_area: str | None
    location: str | None

    @property
    def name(self) -> str:
        """Its name on pages, with its study area if it has one."""
        location = self.location or "unknown station"
        return f"{self.study_area} / {location}" if self.study_area else location


def link(target: Path, page: Path) -> str:
    """Returns the address of a file, as a link on a page has it: relative and quoted."""
    return quote(os.path.relpath(target, page.parent))
