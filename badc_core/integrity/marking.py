"""Marks what was found damaged, so that the next run makes just that again.

Nothing is lost: what a later run might take for a good result is put into the work folder, and
damaged contents of an annex where git-annex puts those.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from badc_core.annexed_files import lacks_content
from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, ProgramMissing
from badc_core.integrity.findings import AUDIO, Finding
from badc_core.provenance.annex import check_contents
from badc_core.recordings.failures import note_failure
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work

_REMEDY = "Run: badc run DATASET, which makes it again"


def mark_findings(dataset: Dataset, findings: Sequence[Finding]) -> None:
    """Marks damaged outputs as failed and due.

    A damaged recording's own file is not marked: its results are of the sound as it was.

    Raises:
        StorageFull, OutputUnwritable: a mark cannot be written.
    """
    own = [one for one in findings if one.stage != AUDIO]
    _check_annexed(dataset, own)
    work = Work(dataset.work_folder)
    noted: set[str] = set()
    for one in own:
        if one.stage == "":
            # Outputs that nobody wrote anything down of are read instead, see `comparing.py`.
            _set_aside(dataset, dataset.root / one.path)
        elif one.stage not in STAGES:
            _set_corpus_aside(dataset, one.stage)
        else:
            work.mark_dirty(one.stage, one.recording_id)
            if one.recording_id not in noted:
                noted.add(one.recording_id)
                error = BadcError(f"damaged: {one.what}", one.path, _REMEDY)
                note_failure(dataset, one.recording_id, one.stage, error)
        if one.stage == "raw_detections":
            # Its good chunks would count as known.
            _set_aside(dataset, dataset.raw_detections(one.recording_id))


def _check_annexed(dataset: Dataset, findings: Sequence[Finding]) -> None:
    """Has git-annex put damaged contents away, else it would keep those and not what is new."""
    paths = [dataset.root / one.path for one in findings]
    annexed = [one for one in paths if one.is_symlink() and one.exists()]
    with suppress(ProgramMissing):
        check_contents(annexed)


def _set_corpus_aside(dataset: Dataset, asset: str) -> None:
    """Takes a file of the corpus away, without which both are made again."""
    path = dataset.corpus.html if asset == "corpus_report" else dataset.corpus.duckdb
    _set_aside(dataset, path)


def _set_aside(dataset: Dataset, path: Path) -> None:
    if lacks_content(path) or not path.exists():
        return
    place = Work(dataset.work_folder).damaged(path.relative_to(dataset.root).as_posix())
    with naming_storage_trouble(place):
        if path.is_symlink():
            path.unlink()  # into the annex, where its content stays
        else:
            shutil.move(path, place)
