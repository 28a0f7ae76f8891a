"""The folder of an export: what somebody changed in it, and putting into it what is other now.

What BADC wrote is listed in `provenance.json`. A file with other bytes is somebody's work, such as
a selection table that was corrected in Raven, and so is one that is not listed.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from badc_core.annexed_files import lacks_content
from badc_core.atomic import naming_storage_trouble, replacing, replacing_folder, write_text
from badc_core.errors import OutputUnwritable
from badc_core.exports.remembered import Stamp, stamp_if_there, stamp_of
from badc_core.hashing import sha256_file
from badc_core.stages.export_outputs import PROVENANCE, read_listing
from badc_core.units import counted

_NEW_FOLDER = "Give a new folder"

Describe = Callable[[Mapping[str, str], Mapping[str, str]], str]
"""Returns the text of `provenance.json`, given its `files` and `replaced`."""


class ExportFolder:
    """A folder with an older export, or nothing.

    Args:
        place: its absolute path.

    Attributes:
        place: likewise.
        listing: what the older export says of itself.
        present: name -> SHA-256 of the listed files that are there.
        changed: those of them that somebody changed.
        left: those of them that were not replaced, since BADC would write what it wrote before.
        stamps: of the files that are as BADC wrote them, before anybody else could change them.

    Raises:
        OutputUnwritable: it is a file, or has files and no export.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.listing = read_listing(place)
        self.present: dict[str, str] = {}
        self.changed: list[str] = []
        self.left: list[str] = []
        self.stamps: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp | None] = {}
        if os.path.lexists(place) and not place.is_dir():
            raise OutputUnwritable("is there already, and no folder", place, _NEW_FOLDER)
        if not self.listing.sha256:
            foreign = next((one.name for one in _files(place)), "")
            if foreign:
                what = f"has files, such as {foreign}, that are not of an export that BADC wrote"
                raise OutputUnwritable(what, place, _NEW_FOLDER)

    def look(self, stamps: Mapping[str, Stamp]) -> None:
        """Finds out which of the listed files are there and as they were written.

        Args:
            stamps: of files when they were written: whose is the same is not read.
        """
        for name in {**self.listing.files, **self.listing.replaced}:
            path, listed = self.place / name, self.listing.files.get(name, "")
            # Before it is read: whoever saves it later gives it another stamp.
            self._seen[name] = stamp = stamp_if_there(path)
            if lacks_content(path):
                self.present[name] = listed
            elif path.is_file():
                is_same = bool(listed) and stamps.get(name) == stamp
                self.present[name] = listed if is_same else sha256_file(path)
                if not self.listing.accepts(name, self.present[name]):
                    self.changed.append(name)
                elif stamp and self.present[name] == listed:
                    self.stamps[name] = stamp

    @property
    def good(self) -> Set[str]:
        """Names of the files that are there as BADC wrote them."""
        return {one for one, its in self.present.items() if its == self.listing.files.get(one)}

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yields an empty folder for new files, beside the export, or to become one.

        It is removed after, if there was one before.
        """
        if not self.listing.sha256:
            with replacing_folder(self.place) as aside:
                yield aside
            return
        aside = self.place.with_name(f".{self.place.name}.new")
        with naming_storage_trouble(self.place):
            shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
            aside.mkdir(parents=True)
            try:
                yield aside
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def renew(
        self, aside: Path, kept: Collection[str], describe: Describe, remedy: str | None
    ) -> list[str]:
        """Replaces the files that have other bytes, and removes those that are no more.

        A file that somebody changed stays if BADC would write what it wrote before. If the process
        is killed meanwhile, `provenance.json` says of both old and new files that they are BADC's.

        Args:
            aside: folder of the new files.
            kept: files of the older export that stay although they are not among the new ones.
            describe: returns the text of `provenance.json`.
            remedy: what to do about files that somebody changed; None to replace them.

        Returns:
            the names of the files that were replaced or are new.

        Raises:
            OutputUnwritable: a file that somebody changed would be replaced, or a new file has the
                name of one that is not BADC's.
            StorageFull: the disk or a quota is full.
        """
        new = {one.name: sha256_file(one) for one in sorted(aside.iterdir())}
        files = {one: self.present[one] for one in kept} | new
        files = {one: files[one] for one in sorted(files)}
        if remedy is not None:
            self.left = [one for one in self.changed if self._is_as_before(one, new)]
        others = {one: its for one, its in new.items() if one not in self.left}
        written = [one for one, its in others.items() if self.present.get(one) != its]
        gone = [one for one in self.present if one not in files]
        if remedy is not None:
            self._require_unchanged({*written, *gone}, remedy)
        stamps = {one: stamp_of(aside / one) for one in written}
        if self.listing.sha256:
            self._require_free(written)
            self._replace(aside, written, gone, partial(describe, files))
        else:
            write_text(aside / PROVENANCE, describe(files, {}), can_be_made_again=True)
        self.stamps |= stamps
        return written

    def _replace(
        self,
        aside: Path,
        written: Sequence[str],
        gone: Sequence[str],
        describe: Callable[[Mapping[str, str]], str],
    ) -> None:
        self._require_as_seen(*written, *gone)
        replaced = {one: self.present[one] for one in (*written, *gone) if one in self.present}
        if written or gone:
            write_text(self.place / PROVENANCE, describe(replaced))
        for name in written:
            self._require_as_seen(name)
            with replacing(self.place / name) as target:
                (aside / name).rename(target)
        for name in gone:
            self._require_as_seen(name)
            (self.place / name).unlink(missing_ok=True)
        last = describe({})
        if replaced or not _has(self.place / PROVENANCE, last):
            write_text(self.place / PROVENANCE, last)

    def _require_unchanged(self, names: Set[str], remedy: str) -> None:
        changed = [one for one in self.changed if one in names]
        if changed:
            first, *others = changed
            more = f", and so were {counted(len(others), 'other file')}" if others else ""
            what = f"was changed since BADC wrote it{more}; nothing is exported"
            raise OutputUnwritable(what, self.place / first, remedy)

    def _require_as_seen(self, *names: str) -> None:
        for name in names:
            if stamp_if_there(self.place / name) != self._seen.get(name):
                what = "was changed while the export was written"
                raise OutputUnwritable(what, self.place / name, "Export again")

    def _is_as_before(self, name: str, new: Mapping[str, str]) -> bool:
        """Returns whether a new file has the bytes that BADC has written under its name before."""
        listing = self.listing
        was_written = name in listing.files and name not in listing.replaced
        return was_written and new.get(name) == listing.files[name]

    def _require_free(self, names: Collection[str]) -> None:
        known = {*self.listing.files, *self.listing.replaced}
        for name in names:
            if name not in known and os.path.lexists(self.place / name):
                what = "is in the way: it is not of the export that BADC wrote into its folder"
                raise OutputUnwritable(what, self.place / name, "Move it away, then export again")


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (one for one in sorted(folder.rglob("*")) if not one.is_dir())
