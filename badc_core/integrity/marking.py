"""Marks what was found damaged, so that the next run makes just that again.

How a recording's output is marked, and what becomes of its files, is in `stages/damage.py`.
"""

from collections.abc import Sequence

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.integrity.findings import AUDIO, Finding
from badc_core.recordings.failures import note_failure
from badc_core.stages.damage import mark_damaged, put_contents_away, set_aside
from badc_core.stages.stage import STAGES

_REMEDY = "Run: badc run DATASET, which makes it again"


def mark_findings(dataset: Dataset, findings: Sequence[Finding]) -> None:
    """Marks damaged outputs as failed and due.

    A damaged recording's own file is not marked: its results are of the sound as it was.

    Raises:
        StorageFull, OutputUnwritable: a mark cannot be written.
    """
    own = [one for one in findings if one.stage != AUDIO]
    put_contents_away(dataset.root / one.path for one in own)
    noted: set[str] = set()
    for one in own:
        if one.stage == "":
            # Outputs that nobody wrote anything down of are read instead, see `comparing.py`.
            set_aside(dataset, dataset.root / one.path)
        elif one.stage not in STAGES:
            _set_corpus_aside(dataset, one.stage)
        else:
            mark_damaged(dataset, one.stage, one.recording_id)
            if one.recording_id not in noted:
                noted.add(one.recording_id)
                error = BadcError(f"damaged: {one.what}", one.path, _REMEDY)
                note_failure(dataset, one.recording_id, one.stage, error)


def _set_corpus_aside(dataset: Dataset, asset: str) -> None:
    """Takes a file of the corpus away, without which both are made again."""
    path = dataset.corpus.html if asset == "corpus_report" else dataset.corpus.duckdb
    set_aside(dataset, path)
