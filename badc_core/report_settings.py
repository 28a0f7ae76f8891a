"""The settings of report pages; `settings.py` has the others."""

from typing import Literal

from pydantic import Field, field_validator

from badc_core.settings_section import Section
from badc_core.species_names import LANGUAGES


class ReportSettings(Section):
    """What reports show."""

    bucket_minutes: int = Field(60, ge=1, le=1440, description="Width of a timeline bucket.")
    top_labels: int = Field(20, ge=1, description="Rows of species tables on a page.")
    top_recordings: int = Field(10, ge=1, description="Rows of recording tables on a page.")
    top_detections: int = Field(12, ge=0, description="Detections shown with picture and sound.")
    padding_s: float = Field(1.0, ge=0, description="Sound added around a shown detection.")
    bundle: Literal["page", "full"] = Field(
        "page",
        description="What a recording has beside its detections: `page`, or `full` with a DuckDB "
        "database and CSV tables of its own. The corpus always has these of all recordings.",
    )
    language: str = Field(
        "",
        description="Language of species names on pages and in `badc report`, such as `de`; empty: "
        "as the detector calls them. Tables for other programs keep the detector's names.",
    )

    @field_validator("language")
    @classmethod
    def _language_is_there(cls, language: str) -> str:
        if language and language not in LANGUAGES:
            raise ValueError(
                f"no species names in {language!r}; there are {', '.join(LANGUAGES)}, and '' for "
                "the detector's own"
            )
        return language
