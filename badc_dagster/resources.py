"""Dagster resources: each makes a plain core object, which is what assets receive.

Settings themselves are in `badc_core/settings.py`.
"""

from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import Field

from badc_core.cli.disabled_datalad import read_disabled_datalad
from badc_core.datasets.connections import read_connections
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_dagster.home import home_path


class DatasetResource(dg.ConfigurableResource[Dataset]):
    """A dataset, opened with its own settings and a run's overrides."""

    root: str = Field(description="The dataset's folder.")
    overrides: dict[str, Any] = Field(
        default={},
        description="Settings for this run only: section, key, value, as in badc.toml.",
    )

    @classmethod
    def from_registry(cls, name: str) -> Self:
        """Returns the resource of a connected dataset.

        Raises:
            DatasetInvalid: none of this name is connected.
            ConfigInvalid: the list of datasets cannot be read.
        """
        known = {one.name: one.root for one in read_connections(home_path())}
        if name not in known:
            remedy = f"Connected: {', '.join(known) or 'none'}. Run: badc data connect NAME"
            raise DatasetInvalid("not a connected dataset", name, remedy)
        return cls(root=str(known[name]))

    def create_resource(self, context: dg.InitResourceContext) -> Dataset:  # noqa: ARG002
        """Returns the opened dataset; raises DatasetInvalid or ConfigInvalid."""
        disabled = read_disabled_datalad().get("datalad", {})
        given = self.overrides.get("datalad", {})
        overrides = {**self.overrides, "datalad": {**disabled, **given}}
        return Dataset.open(Path(self.root), overrides)
