"""What every section of settings keeps: it cannot be changed, and knows all of its keys."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of `badc.toml`: frozen, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
