"""The settings of exports; `settings.py` has the others. None of them changes a detection."""

from typing import Literal, TypeAlias

from pydantic import Field, field_validator

from badc_core.settings_section import Section

ExportName: TypeAlias = Literal[
    "raven",
    "audacity",
    "birdnet",
    "kaleidoscope",
    "study_area",
    "occupancy",
    "wildtrax",
    "opensoundscape",
    "camtrap",
    "guano",
]
"""Names of the formats; what each is, is in `exports/formats.py`."""


class ExportSettings(Section):
    """Which exports are kept up to date."""

    formats: tuple[ExportName, ...] = Field(
        (),
        description="Formats of `badc export` that every `badc run`, and the sensor, writes again "
        "when results have changed; each is an asset of its own.",
    )

    @field_validator("formats")
    @classmethod
    def _each_is_named_once(cls, formats: tuple[ExportName, ...]) -> tuple[ExportName, ...]:
        return tuple(dict.fromkeys(formats))
