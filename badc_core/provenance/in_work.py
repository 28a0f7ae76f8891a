"""Marks on outputs that are being replaced.

A process can be killed after it replaced a file and before anybody was told. The mark, set before
and removed after, says that what lies there is not to be trusted: the recording is due again.
"""

from badc_core.datasets.dataset import Dataset


def mark(dataset: Dataset, stage: str, recording_id: str) -> None:
    """Says that a recording's output of a stage is being, or must be, made again."""
    path = dataset.in_work(stage, recording_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def unmark(dataset: Dataset, stage: str, recording_id: str) -> None:
    """Says that the output stands and the asset graph knows of it."""
    dataset.in_work(stage, recording_id).unlink(missing_ok=True)


def read_marks(dataset: Dataset, stage: str) -> set[str]:
    """Returns the recordings whose output of a stage is marked."""
    folder = dataset.in_work(stage, "x").parent
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
