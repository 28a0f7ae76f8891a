"""The facts about a recording from one source, such as a header or a file name.

Sources are read in `naming.py`, `folders.py`, `guano.py`, `audiomoth.py`, `wamd.py` and `bext.py`,
and combined in `describe.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Findings:
    """The facts from one source.

    Attributes:
        source: guano, audiomoth, wamd, filename, bext, path, or other.
        clock: start as the recorder's clock showed it, without a zone.
        utc_offset_min: clock minus UTC, if the source says so.
        fields: attribute of `Recording` -> value.
        comments: facts without an attribute of their own.
        warnings: one sentence each.
    """

    source: str
    clock: datetime | None = None
    utc_offset_min: int | None = None
    fields: dict[str, str | float] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def utc(self) -> datetime | None:
        """Start in UTC without a zone attached; None if the offset is not known."""
        if self.clock is None or self.utc_offset_min is None:
            return None
        return self.clock - timedelta(minutes=self.utc_offset_min)
