"""Marks a recording's output as damaged, so that the next run makes just that again.

Nothing is lost: what a later run might take for a good result is put into the work folder, and
damaged contents of an annex where git-annex puts those. Who looks for damage is elsewhere.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from badc_core.annexed_files import lacks_content
from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.dataset import Dataset
from badc_core.errors import (
    BadcError,
    DatasetInvalid,
    DetectionsInvalid,
    ManifestMismatch,
    ProgramMissing,
    RawDetectionsInvalid,
    RecordingBusy,
)
from badc_core.provenance.annex import check_contents
from badc_core.stages.stage import STAGES, Stage
from badc_core.stages.work import Work


def mark_damaged(dataset: Dataset, stage: str, recording_id: str) -> bool:
    """Marks an output as damaged, and returns True; leaves it to another run at work on it.

    Raises:
        StorageFull, OutputUnwritable: the mark cannot be written.
    """
    try:
        begun = Work(dataset.work_folder).begin(stage, recording_id)
    except RecordingBusy:
        return False
    try:
        put_output_away(dataset, stage, recording_id)
    finally:
        begun.leave()
    return True


def writers_of(error: BadcError, stage: Stage) -> tuple[str, ...]:
    """Returns the stages that write the file an error of a stage is about, which is damaged."""
    if isinstance(error, DatasetInvalid):
        return ("recording",)
    if isinstance(error, ManifestMismatch):
        return ("chunk_manifest",)
    if isinstance(error, RawDetectionsInvalid):
        return ("raw_detections",)
    return stage.inputs if isinstance(error, DetectionsInvalid) else ()


def put_output_away(dataset: Dataset, stage: str, recording_id: str) -> None:
    """Puts away what a run that makes a damaged output again might take for good.

    Args:
        dataset: whose output.
        stage: of the output, which this process has in work.
        recording_id: of which recording.
    """
    put_contents_away(STAGES[stage].files(dataset, recording_id))
    if STAGES[stage].runs_detector:
        # Its good chunks would count as known.
        for path in STAGES[stage].outputs(dataset, recording_id):
            set_aside(dataset, path)


def put_contents_away(paths: Iterable[Path]) -> None:
    """Has git-annex put damaged contents away, else it would keep those and not what is new."""
    annexed = [one for one in paths if one.is_symlink() and one.exists()]
    with suppress(ProgramMissing):
        check_contents(annexed)


def set_aside(dataset: Dataset, path: Path) -> None:
    """Moves a file into the work folder; a link into an annex is removed, its content stays."""
    if lacks_content(path) or not path.exists():
        return
    place = Work(dataset.work_folder).damaged(dataset.below(path))
    with naming_storage_trouble(place):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.move(path, place)
