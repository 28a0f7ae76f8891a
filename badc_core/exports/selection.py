"""Which results are exported."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from badc_core.errors import OptionInvalid
from badc_core.options import OptionSpec


@dataclass(frozen=True, kw_only=True)
class ExportSelection:
    """What is exported of a dataset; without any of these, everything.

    A recording or day in which nothing chosen was found stays, since that nothing was found is a
    result.
    """

    species: Annotated[
        tuple[str, ...],
        OptionSpec("Only this: a label, common or scientific name; may be repeated."),
    ] = ()
    station: Annotated[tuple[str, ...], OptionSpec("Only this station; may be repeated.")] = ()
    since: Annotated[
        str | None, OptionSpec("Only recordings that start on this day or later, as 2024-05-31.")
    ] = None
    until: Annotated[
        str | None, OptionSpec("Only recordings that start on this day or earlier.")
    ] = None
    min_score: Annotated[
        float | None, OptionSpec("Weakest score, 0 to 1.", "all that were kept", least=0, most=1)
    ] = None
    expected_only: Annotated[
        bool, OptionSpec("Leave out species that are not expected there and then.")
    ] = False

    def __post_init__(self) -> None:
        """Checks the days.

        Raises:
            OptionInvalid: one is no day, or nothing is between them.
        """
        days = []
        for name in ("since", "until"):
            text = getattr(self, name)
            try:
                days += [date.fromisoformat(text)] if text else []
            except ValueError as error:
                remedy = "Write it as 2024-05-31"
                raise OptionInvalid(f"{text!r} is not a day", f"--{name}", remedy) from error
        if days != sorted(days):
            what = f"{self.since} is later than --until {self.until}"
            raise OptionInvalid(what, "--since", "Exchange them")

    def has_day(self, start_local: datetime | None) -> bool:
        """Returns whether recordings that start then are chosen; one without a clock is never."""
        if self.since is None and self.until is None:
            return True
        if start_local is None:
            return False
        day = start_local.date()
        since = date.fromisoformat(self.since) if self.since else day
        until = date.fromisoformat(self.until) if self.until else day
        return since <= day <= until
