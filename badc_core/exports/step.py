"""Exports as steps: written, entered among what outputs were made from, and committed."""

from dataclasses import dataclass

from badc_core.datasets.dataset import Dataset
from badc_core.exports.writing import ExportOrder, ExportWritten, write_export
from badc_core.provenance.commits import Commits
from badc_core.provenance.datalad import below
from badc_core.provenance.records import RunRecord
from badc_core.stages.export_outputs import (
    export_asset,
    store_export_fingerprint,
    store_export_if_remade,
)
from badc_core.stages.fingerprint_files import StoredOutput
from badc_core.stages.step_records import dataset_files, setting_words


@dataclass(frozen=True)
class ExportMade:
    """An export that is written, and where it is committed, if it is.

    Attributes:
        written: what there is.
        stored: what was written down of it.
        commit: of it; empty where nothing is committed.
    """

    written: ExportWritten
    stored: StoredOutput
    commit: str


def make_export(dataset: Dataset, form: str, fingerprint: str, commits: Commits) -> ExportMade:
    """Writes an export into the dataset's own folder for it, and commits it.

    Args:
        dataset: whose corpus is exported.
        form: a name in `FORMATS`.
        fingerprint: of what it is made from.
        commits: of the dataset.

    Raises:
        BadcError: as `write_export` does; nothing is changed then.
    """
    written = write_export(dataset, ExportOrder(form))
    stored = store_export_fingerprint(dataset, form, fingerprint)
    commit = ""
    if commits.are_made:
        paths = [dataset.export(form), dataset.corpus.fingerprints]
        commit = commits.commit(paths, _record(dataset, form))
    return ExportMade(written, stored, commit)


def redo_export(dataset: Dataset, form: str) -> None:
    """Writes an export again, as the record of its commit asks for.

    Raises:
        BadcError: as `write_export` does.
    """
    write_export(dataset, ExportOrder(form))
    store_export_if_remade(dataset, form)


def _record(dataset: Dataset, form: str) -> RunRecord:
    corpus, name = dataset.corpus, export_asset(form)
    read = [*dataset_files(dataset), corpus.duckdb, corpus.parts, *corpus.part_folders]
    inputs = [one for one in read if one.exists()]
    return RunRecord(
        message=f"{name}: all recordings",
        commands=(["badc", "redo", *setting_words(dataset), "--", ".", name],),
        inputs=tuple(below(dataset.root, one) for one in inputs),
        outputs=(below(dataset.root, dataset.export(form)),),
    )
