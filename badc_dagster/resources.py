"""Dagster resources: each makes a plain core object, which is what assets receive.

Settings themselves are in `badc_core/settings.py`.
"""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from badc_core.datasets.dataset import Dataset


class DatasetResource(dg.ConfigurableResource[Dataset]):
    """A dataset, opened with its own settings and a run's overrides."""

    root: str = Field(description="The dataset's folder.")
    overrides: dict[str, Any] = Field(
        default={},
        description="Settings for this run only: section, key, value, as in badc.toml.",
    )

    def create_resource(self, context: dg.InitResourceContext) -> Dataset:  # noqa: ARG002
        """Returns the opened dataset; raises DatasetInvalid or ConfigInvalid."""
        return Dataset.open(Path(self.root), self.overrides)
