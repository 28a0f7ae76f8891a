"""Writing an export: one format, into a folder of its own that it replaces."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.atomic import replacing_folder
from badc_core.corpus.snapshot import Snapshot
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, OptionInvalid, OutputUnwritable
from badc_core.exports.formats import FORMATS
from badc_core.exports.provenance import read_names, write_provenance
from badc_core.exports.selection import Selection
from badc_core.exports.source import ExportSource
from badc_core.file_names import absolute

_NEW_FOLDER = "Give a new folder"


@dataclass(frozen=True)
class ExportWritten:
    """What was written.

    Attributes:
        folder: of the files.
        files: how many, those about the export itself not counted.
        recordings: that were exported, with or without detections.
        detections: in them.
        notes: what was left out, and why.
    """

    folder: Path
    files: int
    recordings: int
    detections: int
    notes: tuple[str, ...]


def write_export(
    dataset: Dataset,
    form: str,
    selection: Selection | None = None,
    folder: Path | None = None,
) -> ExportWritten:
    """Writes a dataset's results in a format, replacing an older export in the same folder.

    Args:
        dataset: whose corpus is exported.
        form: a name in `FORMATS`.
        selection: what of it; None for everything.
        folder: where to; None for the dataset's own folder of that format.

    Raises:
        OptionInvalid: there is no such format, species or station.
        DatasetInvalid: there is no corpus yet, or nothing chosen in it.
        ContentMissing: its content is not here.
        StorageFull, OutputUnwritable: it cannot be written, or something else is in the folder.
    """
    if form not in FORMATS:
        raise OptionInvalid(f"no format is called {form!r}", "FORMAT", ", ".join(FORMATS))
    corpus = dataset.corpus.duckdb
    if not os.path.lexists(corpus):
        remedy = f"Run: badc run {shlex.quote(str(dataset.root))}"
        raise DatasetInvalid("there is no corpus yet", corpus, remedy)
    require_fetched(corpus)
    place = _require_own(folder or dataset.export(form))
    with Snapshot(dataset) as snapshot, replacing_folder(place) as aside:
        source = ExportSource(dataset, snapshot, selection or Selection())
        source.require_species()
        FORMATS[form].write(source, aside)
        files = sum(one.is_file() for one in aside.rglob("*"))
        write_provenance(source, form, aside)
    n_found = sum(n for n, _ in source.tallies.values())
    return ExportWritten(place, files, len(source.recordings), n_found, tuple(source.notes))


def _require_own(folder: Path) -> Path:
    """Returns the absolute path of a folder: not there, empty, or an export and nothing more.

    Raises:
        OutputUnwritable: something in it is not an export's.
    """
    place = absolute(folder)
    if not os.path.lexists(place):
        return place
    if not folder.is_dir():
        raise OutputUnwritable("is there already, and no folder", folder, _NEW_FOLDER)
    found = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if not one.is_dir()}
    foreign = sorted(found - read_names(folder))
    if foreign:
        what = f"would be replaced, but {foreign[0]} in it is not of an export that BADC wrote"
        raise OutputUnwritable(what, folder, _NEW_FOLDER)
    return place
