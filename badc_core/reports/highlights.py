"""What was found, in a few kilobytes: the top species and one small picture.

For places that keep a copy for every recording, such as the events of the asset graph. Pages show
all of it.
"""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any, Self

from PIL import Image

from badc_core.reports.page import data_uri

_TOP_SPECIES = 8
_SIZE_PX = (200, 65)
_COLOURS = 8
_SPECTROGRAM = re.compile(
    r'<svg[^>]* aria-label="(?P<title>[^"]*)">\s*<image href="data:image/png;base64,(?P<png>[^"]*)"'
)
_BARS_PX = (288, 60)


@dataclass(frozen=True)
class ReportPicture:
    """A small picture.

    Attributes:
        uri: data URI.
        title: what it shows.
    """

    uri: str
    title: str


@dataclass(frozen=True)
class Highlights:
    """The top species, and a picture.

    Attributes:
        species: with `name`, `detections`, `best` and `not_expected` of each.
        n_more: how many more were detected.
        picture: None where there is nothing to be shown.
    """

    species: tuple[Mapping[str, Any], ...]
    n_more: int
    picture: ReportPicture | None

    @classmethod
    def choose(cls, species: Sequence[Mapping[str, Any]], picture: ReportPicture | None) -> Self:
        """Returns highlights.

        Args:
            species: all of them, the most frequent first.
            picture: to be shown with them.
        """
        top = tuple(species[:_TOP_SPECIES])
        return cls(top, len(species) - len(top), picture)


def shrink_first_spectrogram(page: str) -> ReportPicture | None:
    """Returns a small copy of the first spectrogram on a page; None where it has none.

    Args:
        page: of a recording, or another that shows clips.
    """
    found = _SPECTROGRAM.search(page)
    if found is None:
        return None
    with Image.open(io.BytesIO(base64.b64decode(found["png"]))) as full:
        small = full.convert("RGB").resize(_SIZE_PX, Image.Resampling.BOX).quantize(_COLOURS)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return ReportPicture(data_uri("image/png", file.getvalue()), unescape(found["title"]))


def draw_bars(values: Sequence[float], ends: tuple[str, str], title: str) -> ReportPicture | None:
    """Returns a bar for each value; None where all are 0.

    Args:
        values: none below 0.
        ends: what stands below the first and the last bar.
        title: what is shown.
    """
    most = max(values, default=0.0)
    if not most:
        return None
    width, height = _BARS_PX
    step = width / len(values)
    bars = "".join(
        f'<rect x="{n * step:.1f}" y="{height - height * one / most:.1f}" '
        f'width="{0.8 * step:.1f}" height="{height * one / most:.1f}"/>'
        for n, one in enumerate(values)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 16}">'
        f'<g fill="#3b6ea5">{bars}</g><g font-family="sans-serif" font-size="11" fill="#777">'
        f'<text y="{height + 13}">{ends[0]}</text>'
        f'<text x="{width}" y="{height + 13}" text-anchor="end">{ends[1]}</text></g></svg>'
    )
    return ReportPicture(data_uri("image/svg+xml", svg.encode()), title)
