"""Has the asset graph know results that it did not make, and says what came of that.

Those of another Dagster home are in `taking_over.py`, those of earlier versions of BADC in
`adoption.py`.
"""

from collections.abc import Callable

import dagster as dg

from badc_core.cli.wording import counted
from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registry import Registry
from badc_dagster.adoption import Adoption
from badc_dagster.batches import BatchRun
from badc_dagster.due import Progress
from badc_dagster.taking_over import take_over

GraphPlace = tuple[dg.DagsterInstance, Connection, Dataset]
"""A dataset, and where it is in the asset graph."""

Show = Callable[[str], None]


def take_over_made_elsewhere(place: GraphPlace, registry: Registry, show: Show, warn: Show) -> None:
    """Has the asset graph know results that were made in another Dagster home."""
    outcome = take_over(*place, registry.by_id, show)
    for sentence in outcome.warnings():
        warn(sentence)
    if outcome.recordings:
        n = counted(len(outcome.recordings), "recording")
        show(f"Results of {n}, made in another Dagster home, taken over.")


def adopt_older_results(
    place: GraphPlace, progress: Progress, batches: BatchRun, show: Show, warn: Show
) -> set[str]:
    """Takes over results of earlier versions of BADC, and warns of those it cannot.

    Returns:
        the recordings that another run is at work on.
    """
    adoption = Adoption(*place)
    older = adoption.find(progress)
    for sentence in older.describe():
        warn(sentence)
    if not older.adoptable:
        return set()
    outcome = adoption.adopt(older.adoptable, show)
    for sentence in outcome.refused.describe():
        warn(sentence)
    if outcome.adopted:
        show(
            f"{counted(len(outcome.adopted), 'recording')} with results of an earlier version "
            "of BADC taken over."
        )
    batches.refresh(progress, older.adoptable)
    return outcome.busy
