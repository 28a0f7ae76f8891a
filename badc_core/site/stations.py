"""What a station is called."""

from typing import NamedTuple


class Station(NamedTuple):
    """A station; None where its name, or that of its study area, is not known."""

    study_area: str | None
    location: str | None

    @property
    def name(self) -> str:
        """Its name on pages, with its study area if it has one."""
        location = self.location or "unknown station"
        return f"{self.study_area} / {location}" if self.study_area else location
