"""Writing an export: one format, into a folder of its own, in which only what differs is replaced.

What somebody changed there is found in `folder.py`, and never replaced unasked.
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.corpus.snapshot import Snapshot
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import DatasetInvalid, OptionInvalid
from badc_core.exports.folder import ExportFolder
from badc_core.exports.formats import FORMATS
from badc_core.exports.provenance import RECORDINGS, Provenance, write_recordings
from badc_core.exports.remembered import (
    Remembered,
    memory_path,
    read_remembered,
    remember,
)
from badc_core.exports.selection import ExportSelection
from badc_core.exports.source import ExportSource
from badc_core.file_names import absolute
from badc_core.hashing import digest_json
from badc_core.locks import locked
from badc_core.options import to_argv
from badc_core.stages.export_outputs import EXPORT_CODE_VERSION, PROVENANCE, read_listing
from badc_core.units import counted, shorten

_MOST_NAMED = 5


@dataclass(frozen=True)
class ExportWritten:
    """What was written.

    Attributes:
        folder: of the files.
        files: how many there are, those about the export itself not counted.
        files_written: of them, new or with other bytes than before.
        size_bytes: of all of them.
        recordings: that were exported, with or without detections.
        detections: in them.
        notes: what was left out, and why.
    """

    folder: Path
    files: int
    files_written: int
    size_bytes: int
    recordings: int
    detections: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ExportOrder:
    """What to export.

    Attributes:
        form: a name in `FORMATS`.
        selection: what of the results.
        folder: where to; None for the dataset's own folder of that format.
        overwrites: whether files that somebody changed are replaced as well.
    """

    form: str
    selection: ExportSelection = field(default_factory=ExportSelection)
    folder: Path | None = None
    overwrites: bool = False


def write_export(dataset: Dataset, order: ExportOrder) -> ExportWritten:
    """Writes a dataset's results in a format, and leaves files alone that are as they would be.

    Args:
        dataset: whose corpus is exported.
        order: what of it, how, and where to.

    Raises:
        OptionInvalid: there is no such format, species or station.
        DatasetInvalid: there is no corpus yet, or nothing chosen in it.
        ContentMissing: its content is not here.
        StorageFull, OutputUnwritable: it cannot be written, somebody changed a file, or something
            else is in the folder. Nothing is changed then, unless somebody changed it meanwhile.
    """
    require_format(order.form)
    corpus = dataset.corpus.duckdb
    if not os.path.lexists(corpus):
        remedy = f"Run: badc run {shlex.quote(str(dataset.root))}"
        raise DatasetInvalid("there is no corpus yet", corpus, remedy)
    require_fetched(corpus)
    place = absolute(order.folder or dataset.export(order.form))
    require_fetched(place / PROVENANCE)  # else its files would seem somebody else's
    with _excluding_others(dataset, place), Snapshot(dataset) as snapshot:
        source = ExportSource(dataset, snapshot, order.selection)
        source.require_species()
        return _Writing(source, order, ExportFolder(place)).write()


def require_format(form: str) -> None:
    """Returns if there is a format of this name.

    Raises:
        OptionInvalid: there is not.
    """
    if form not in FORMATS:
        remedy = f"Use one of {', '.join(FORMATS)}"
        raise OptionInvalid(f"no format is called {form!r}", "FORMAT", remedy)


class _Writing:
    """An export on its way into its folder."""

    def __init__(self, source: ExportSource, order: ExportOrder, folder: ExportFolder) -> None:
        self._source = source
        self._order = order
        self._folder = folder
        self._ending = FORMATS[order.form].ending
        self._memory = memory_path(source.dataset, folder.place)

    def write(self) -> ExportWritten:
        source, folder = self._source, self._folder
        before = read_remembered(self._memory, folder.listing.sha256)
        folder.look(before.stamps)
        made_from = source.made_from() if self._ending else {}
        common = self._common()
        if before.common == common:
            self._skip(made_from, before)
        kept = [f"{one}{self._ending}" for one in source.skipped]
        with folder.writing() as aside:
            FORMATS[self._order.form].write(source, aside)
            write_recordings(source, aside)
            described = Provenance(source, self._order.form)
            remedy = None if self._order.overwrites else self._remedy()
            written = folder.renew(aside, kept, described.describe, remedy)
        listing = read_listing(folder.place)
        recordings = {one: (its, source.tallies[one]) for one, its in made_from.items()}
        stamps = {**before.stamps, **folder.stamps}
        stamps = {one: its for one, its in stamps.items() if one in listing.files}
        now = Remembered(listing.sha256, common, recordings, stamps)
        if now != before:
            remember(source.dataset, self._memory, now)
        return ExportWritten(
            folder=folder.place,
            files=len(listing.files.keys() - {RECORDINGS}),
            files_written=len({*written} - {RECORDINGS}),
            size_bytes=sum(size_bytes for size_bytes, _ in stamps.values()),
            recordings=len(source.recordings),
            detections=sum(n for n, _ in source.tallies.values()),
            notes=(*source.notes, *self._note_left()),
        )

    def _note_left(self) -> Iterator[str]:
        left = self._folder.left
        if left:
            what = counted(len(left), "file")
            names = ", ".join(shorten(left, _MOST_NAMED))
            yield f"{what} that somebody changed left as it is: {names}"

    def _skip(self, made_from: Mapping[str, str], before: Remembered) -> None:
        """Skips the recordings whose file is there, and made from the same."""
        good = self._folder.good
        source, skipped = self._source, set[str]()
        for one, its in made_from.items():
            digest, tally = before.recordings.get(one, ("", (0, 0)))
            if digest == its and f"{one}{self._ending}" in good:
                skipped.add(one)
                source.tallies[one] = tally
        source.skipped = skipped

    def _common(self) -> str:
        """Returns a digest of what decides the files of all recordings."""
        source = self._source
        settings = {one.config_hash: one.settings for one in source.detectors.detectors}
        about = self._order.form, asdict(source.selection), str(source.dataset.root)
        return digest_json([EXPORT_CODE_VERSION, *about, settings])

    def _remedy(self) -> str:
        order = self._order
        words = ["badc", "export", order.form, str(self._source.dataset.root)]
        words += to_argv(order.selection, ExportSelection)
        words += ["--output", str(self._folder.place)] if order.folder else []
        return f"Move it elsewhere, or discard your changes with: {shlex.join(words)} --overwrite"


@contextmanager
def _excluding_others(dataset: Dataset, place: Path) -> Iterator[None]:
    """Waits until no other process writes an export into the same folder of the dataset."""
    if not place.is_relative_to(absolute(dataset.root)):
        yield
        return
    lock = memory_path(dataset, place).with_suffix(".lock")
    with locked(prepare_work_file(dataset.work_folder, lock)):
        yield
