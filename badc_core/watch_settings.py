"""The settings of who is responsible and how they hear of failures; `settings.py` has the others.

None of them changes a result.
"""

import re

from pydantic import Field, field_validator

from badc_core.settings_section import Section

_OWNER = re.compile(r"team:[A-Za-z0-9_]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
"""What Dagster accepts; anything else would keep it from loading the dataset."""


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
        description="The corpus is called not fresh once it is older, as where recorders send "
        "files every day; 0: at no age.",
    )

    @field_validator("owners")
    @classmethod
    def _owners_are_shown(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        for one in owners:
            if not _OWNER.fullmatch(one):
                raise ValueError(f"{one!r} is no e-mail address, nor a name such as team:birds")
        return owners
