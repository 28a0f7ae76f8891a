"""Marks what was found damaged, so that the next run makes just that again.

A run may have made a file again since it was found: each is looked at once more while no run can
be at work on it. What becomes of damaged files is in `stages/damage.py`.
"""

import shlex
from collections.abc import Sequence
from itertools import groupby

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, RecordingBusy
from badc_core.integrity.comparing import look_at_corpus, look_at_outputs
from badc_core.integrity.findings import AUDIO, Finding
from badc_core.recordings.failures import note_failure
from badc_core.stages.corpus_outputs import corpus_file
from badc_core.stages.damage import put_contents_away, put_output_away, set_aside
from badc_core.stages.export_outputs import form_of, mark_export_due
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work


def mark_findings(dataset: Dataset, findings: Sequence[Finding]) -> list[Finding]:
    """Marks damaged outputs as failed and due, and returns the findings that still hold.

    What a run is at work on by now is left to it. A damaged recording's own file is not marked:
    its results are of the sound as it was.

    Raises:
        StorageFull, OutputUnwritable: a mark cannot be written.
    """
    held: list[Finding] = []
    noted: set[str] = set()
    for (recording_id, stage), group in groupby(
        findings, lambda one: (one.recording_id, one.stage)
    ):
        if stage == AUDIO:
            held += group
        elif stage in STAGES:
            held += _mark_output(dataset, recording_id, stage, noted)
        elif form_of(stage):
            mark_export_due(dataset, stage)
            held += group
        elif stage == "":
            held += _set_fingerprints_aside(dataset, recording_id)
        else:
            held += _set_corpus_aside(dataset, stage)
    return held


def _mark_output(dataset: Dataset, recording_id: str, stage: str, noted: set[str]) -> list[Finding]:
    """Marks an output as due if it is still damaged, and returns what is wrong with it.

    Args:
        dataset: whose output.
        recording_id: of which recording.
        stage: that writes it.
        noted: recordings whose failure has been noted; this one is added.
    """
    work = Work(dataset.work_folder)
    if work.is_dirty(stage, recording_id):
        return []
    try:
        begun = work.begin(stage, recording_id)
    except RecordingBusy:
        return []
    found = look_at_outputs(dataset, recording_id, [stage]).findings
    still = [one for one in found if one.stage == stage]
    if not still:
        begun.commit()
        return []
    if recording_id not in noted:
        noted.add(recording_id)
        remedy = f"Run: badc run {shlex.quote(str(dataset.root))}, which makes it again"
        error = BadcError(f"damaged: {still[0].what}", still[0].path, remedy)
        note_failure(dataset, recording_id, stage, error)
    put_output_away(dataset, stage, recording_id)
    begun.leave()
    return still


def _set_fingerprints_aside(dataset: Dataset, recording_id: str) -> list[Finding]:
    """Takes a file of fingerprints away; what nothing is written down of is read instead."""
    with Work(dataset.work_folder).storing_fingerprints(recording_id):
        if recording_id:
            found = look_at_outputs(dataset, recording_id, ()).findings
        else:
            found = look_at_corpus(dataset).findings
        still = [one for one in found if one.stage == ""]
        put_contents_away(dataset.root / one.path for one in still)
        for one in still:
            set_aside(dataset, dataset.root / one.path)
    return still


def _set_corpus_aside(dataset: Dataset, asset: str) -> list[Finding]:
    """Takes a damaged file of the corpus away, without which both are made again."""
    with Work(dataset.work_folder).writing_corpus():
        corpus, found = dataset.corpus, look_at_corpus(dataset).findings
        kept = (*corpus.part_folders, *corpus.page_folders)
        still = [one for one in found if one.stage == asset]
        paths = [dataset.root / one.path for one in still]
        put_contents_away(paths)
        if still:
            set_aside(dataset, corpus_file(dataset, asset))
        for path in paths:
            # What is left of a part, or of a page, would be built upon.
            if any(path.is_relative_to(one) for one in kept):
                set_aside(dataset, path)
    return still
