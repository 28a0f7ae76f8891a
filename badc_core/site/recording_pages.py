"""The pages of a dataset's recordings, and the pictures and sounds that other pages take from them.

Nothing is decoded, since the sound may be elsewhere by now; and what a recording's page silences,
where people speak, stays silent. What a page has is written by `reports/gallery.py`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import unescape
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from badc_core.annexed_files import lacks_content
from badc_core.datasets.dataset import Dataset
from badc_core.reports.page import link
from badc_core.reports.unmuted import current_mark
from badc_core.species_names import SpeciesNames

_OPENING, _CLOSING = b'<figure class="exhibit" ', b"</figure>"
_ATTRIBUTE = re.compile(rb'([a-z-]+)="([^"]*)"')
_HEAD_BYTES = 2000


@dataclass(frozen=True)
class ClipCandidate:
    """A recording whose page may have a clip of a label.

    Attributes:
        best: the label's highest score in the recording.
        nth_of_station: its place among the recordings of its station, by that score, from 1.
    """

    label: str
    label_name: str
    scientific_name: str | None
    study_area: str | None
    location: str | None
    recording_id: str
    best: float
    nth_of_station: int


@dataclass(frozen=True)
class Clip:
    """A detection with picture and sound.

    Attributes:
        detection_id: as in tables of detections.
        source: which label, recording and station it is of.
        name: what the label is called in the language of the reports.
        confidence: its score.
        is_expected: whether the species can be there; None where that is not known.
        in_speech: whether somebody speaks during the detection.
        heard_local: when it begins by the clock at the station; None where no clock is known.
        start_ms: when it begins, from the start of the recording.
        picture: SVG.
        sound: an `audio` element.
        page: that of the recording.
    """

    detection_id: str
    source: ClipCandidate
    name: str
    confidence: float
    is_expected: bool | None
    in_speech: bool
    heard_local: datetime | None
    start_ms: int
    picture: Markup
    sound: Markup
    page: Path

    @property
    def size_bytes(self) -> int:
        """Its share of a page."""
        return len(self.picture) + len(self.sound)

    def address(self, folder: Path) -> str:
        """Returns where on its recording's page it is, from a page in a folder."""
        relative = os.path.relpath(self.page, folder).replace(os.sep, "/")
        return f"{quote(relative)}#d-{quote(self.detection_id)}"


@dataclass(frozen=True)
class _Exhibit:
    """Where a detection is in a recording's page, in bytes, and what its tag there says of it."""

    start: int
    end: int
    tag: bytes
    attributes: dict[str, str]


class RecordingPages:
    """The pages of a dataset's recordings, each searched once however many clips are taken.

    Args:
        dataset: with its settings; where these mute speech, pages that do not are left alone.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._mark = current_mark(dataset).encode()
        self._names = SpeciesNames.read(dataset.settings.report.language)
        self._known: dict[str, dict[str, _Exhibit]] = {}
        self._folder, self._ending = dataset.aggregate, dataset.bundle("x").html.name[1:]

    @cached_property
    def sizes(self) -> dict[str, int | None]:
        """Recording -> bytes of its page; None of a page whose content is elsewhere."""
        found: dict[str, int | None] = {}
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                # No recording's name has bytes that are no text, but a stray file's may.
                if entry.name.endswith(self._ending) and _is_text(entry.name):
                    size = None
                    with suppress(FileNotFoundError):
                        size = entry.stat().st_size
                    found[entry.name.removesuffix(self._ending)] = size
        return found

    def address(self, recording_id: str, page: Path) -> str:
        """Returns the address of a recording's page, from another; empty where there is none."""
        if recording_id not in self.sizes:
            return ""
        return link(f"{self._folder}/{recording_id}{self._ending}", page)

    def take(self, candidate: ClipCandidate) -> Clip | None:
        """Returns the best detection of a label in a recording.

        None if its page is not here, or older than the detections, or replaced just now, or does
        not show it.
        """
        recording_id = candidate.recording_id
        if recording_id not in self._known:
            self._known[recording_id] = self._search(recording_id)
        exhibit = self._known[recording_id].get(candidate.label)
        if exhibit is None or exhibit.attributes["data-score"] != f"{candidate.best:.4f}":
            return None
        page = self._dataset.bundle(recording_id).html
        try:
            with page.open("rb") as file:
                file.seek(exhibit.start)
                content = file.read(exhibit.end - exhibit.start)
        except OSError:
            return None
        if not content.startswith(exhibit.tag):
            return None
        name = self._names.of(candidate.label_name, candidate.scientific_name)
        return _cut_clip(candidate, name, exhibit.attributes, content.decode(), page)

    def _search(self, recording_id: str) -> dict[str, _Exhibit]:
        """Returns the first exhibit of each label on a recording's page: they are in order."""
        page = self._dataset.bundle(recording_id).html
        if lacks_content(page):
            return {}
        try:
            content = page.read_bytes()
        except OSError:
            return {}
        if self._mark and self._mark not in content[:_HEAD_BYTES]:
            return {}
        found: dict[str, _Exhibit] = {}
        for one in _find_exhibits(content):
            found.setdefault(one.attributes["data-label"], one)
        return found


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_exhibits(content: bytes) -> Iterator[_Exhibit]:
    at = content.find(_OPENING)
    while at != -1:
        end = content.find(_CLOSING, at)
        if end == -1:
            return
        tag = content[at : content.index(b">", at)]
        attributes = {
            name.decode(): unescape(value.decode()) for name, value in _ATTRIBUTE.findall(tag)
        }
        if "data-label" in attributes:
            yield _Exhibit(at, end, tag, attributes)
        at = content.find(_OPENING, end)


def _cut_clip(
    source: ClipCandidate, name: str, attributes: dict[str, str], figure: str, page: Path
) -> Clip | None:
    picture, sound = _cut(figure, "<svg", "</svg>"), _cut(figure, "<audio", "</audio>")
    if not picture or not sound:
        return None
    heard = attributes["data-heard"]
    return Clip(
        detection_id=attributes["id"].removeprefix("d-"),
        source=source,
        name=name,
        confidence=float(attributes["data-score"]),
        is_expected={"yes": True, "no": False}.get(attributes["data-expected"]),
        in_speech=attributes["data-speech"] == "yes",
        heard_local=datetime.fromisoformat(heard) if heard else None,
        start_ms=int(attributes["data-start-ms"]),
        picture=picture,
        sound=sound,
        page=page,
    )


def _cut(figure: str, opening: str, closing: str) -> Markup:
    """Returns a part of a figure, which was escaped when its page was written."""
    start, end = figure.find(opening), figure.find(closing)
    return Markup(figure[start : end + len(closing)]) if 0 <= start < end else Markup("")  # noqa: S704
