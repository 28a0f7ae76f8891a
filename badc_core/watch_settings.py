"""The settings of who is responsible and how they hear of failures; `settings.py` has the others.

None of them changes a result.
"""

import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from badc_core.settings_section import Section

_OWNER = re.compile(r"team:[A-Za-z0-9_]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
"""What Dagster accepts; anything else would keep it from loading the dataset."""

_ADDRESS = re.compile(r"https?://[^/\s?#]+(/[^\s?#]*)?$")


class NotifySettings(Section):
    """How somebody hears that a run failed."""

    command: tuple[str, ...] = Field(
        (),
        description="Program, with its arguments, that gets a message about a failed run on its "
        'standard input, such as `["mail", "-s", "BADC", "me@example.org"]`; none: nobody is '
        "notified.",
    )


class WebInterfaceSettings(Section):
    """What the web interface says of a dataset."""

    owners: tuple[str, ...] = Field(
        (), description="Who answers for it: e-mail addresses, or names such as `team:birds`."
    )
    fresh_within_h: float = Field(
        0.0,
        ge=0,
        description="The corpus counts as stale once it is older, for sites whose recorders send "
        "files every day; 0: never.",
    )
    reports_url: str = Field(
        "",
        description="Address at which the report pages are served, such as "
        "`http://127.0.0.1:8010` by `badc report --serve`: what the web interface links to.",
    )

    @field_validator("reports_url")
    @classmethod
    def _address_can_be_opened(cls, address: str) -> str:
        try:
            is_usable = not address or (_ADDRESS.match(address) and urlsplit(address).port != 0)
        except ValueError:  # no number, or too large a one
            is_usable = False
        if not is_usable:
            raise ValueError(f"{address!r} is not an address such as http://127.0.0.1:8010")
        return address

    @field_validator("owners")
    @classmethod
    def _owners_are_shown(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        for one in owners:
            if not _OWNER.fullmatch(one):
                raise ValueError(f"{one!r} is not an e-mail address or a name such as team:birds")
        return owners
