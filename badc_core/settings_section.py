"""The base class of all sections of settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of `badc.toml`: frozen, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
