"""Rendering of a page from a template, and the formats of numbers and times on it.

The content of a page is in `recording_page.py`, in `badc_core/site/` if it is about more than a
recording, or in `badc_core/reviews/`; its looks are in `templates/` beside that. Pages load no
other files: style, charts, pictures and sound are inside.
"""

import base64
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from badc_core.detector_settings import DetectorSettings
from badc_core.recordings.clock import format_offset
from badc_core.units import format_duration

_FIELD = re.compile(r"\{(\w+)")
_TAIL_BYTES = 64
_WITH_TEMPLATES = ("badc_core.reports", "badc_core.site", "badc_core.reviews")


def render_page(template: str, **context: Any) -> str:
    """Returns a page; everything in the context is escaped.

    Args:
        template: its file name in `templates/`.
        context: the names it uses.
    """
    return _environment().get_template(template).render(**context)


def fill_rows(form: str, rows: Iterable[Mapping[str, Any]]) -> Markup:
    """Returns a line for each row; texts of rows are escaped, unless they are markup.

    Where a page has hundreds of rows, this takes a fifth of the time of a loop in its template.

    Args:
        form: a line, as for `str.format`.
        rows: what is put in.
    """
    values = list(rows)
    names = _FIELD.findall(form)
    columns = {name: _escape_column([one[name] for one in values]) for name in set(names)}
    write = _FIELD.sub("{", form).format
    return Markup("\n".join(map(write, *(columns[name] for name in names))))  # noqa: S704


def _escape_column(values: list[Any]) -> list[Any]:
    """Returns values as they go into a page; texts all at once, as each call costs."""
    kinds = {*map(type, values)}
    if kinds in ({str}, {Markup}):
        joined = "\n".join(values)
        texts = (joined if kinds == {Markup} else str(escape(joined))).split("\n")
        if len(texts) == len(values):
            return texts
    return [str(escape(one)) if isinstance(one, str) else one for one in values]


def make_link(address: str, text: str) -> Markup:
    """Returns a link; only its text where there is no address."""
    shown = escape(text)
    return Markup(f'<a href="{escape(address)}">{shown}</a>') if address else shown  # noqa: S704


def call_macro(template: str, name: str, *values: object) -> Markup:
    """Returns what a macro of a template makes of values."""
    return Markup(getattr(_environment().get_template(template).module, name)(*values))  # noqa: S704


def is_whole_page(path: Path) -> bool:
    """Returns whether the file of a page has its end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().rstrip().endswith(b"</html>")


def format_count(number: int, one: str, many: str = "") -> str:
    """Returns a number with its noun: `1 recording`, `1,200 recordings`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def is_made_up(model_version: str) -> bool:
    """Returns whether a detector has random networks, as its version says: `2.3.0+3.random`."""
    return "random" in model_version.partition("+")[2].split(".")


def format_clock(time: datetime | None, with_seconds: bool = False) -> str:
    """Returns a clock time such as `05:30`; a dash if it is not known."""
    if time is None:
        return "-"
    return f"{time:%H:%M:%S}" if with_seconds else f"{time:%H:%M}"


def format_day(time: datetime | None) -> str:
    """Returns a date such as `Tuesday 14 May 2024`."""
    return f"{time:%A} {time.day} {time:%B %Y}" if time else "date unknown"


def format_zone(utc_offset_min: int | None) -> str:
    """Returns the difference of local time at the station from UTC, such as `UTC-07:00`."""
    if utc_offset_min is None:
        return "local time, zone unknown"
    return f"UTC{format_offset(utc_offset_min)}"


def format_minimum(detector: DetectorSettings) -> str:
    """Returns the weakest score kept: `0.25`, or `0.25 (1 label has its own minimum)`."""
    n_own = len(detector.thresholds)
    own = f"{n_own} labels have their own" if n_own > 1 else "1 label has its own"
    return f"{detector.min_score}" + (f" ({own} minimum)" if n_own else "")


def describe_selection(detector: DetectorSettings) -> str:
    """Returns which labels are treated in a way of their own; empty if none are."""
    own = ", ".join(f"{label} {score:g}" for label, score in detector.thresholds.items())
    if detector.thresholds_file:
        own = f"as in {Path(detector.thresholds_file).name}"
    parts = {
        "own minimum": own,
        "only": ", ".join(detector.include),
        "left out": ", ".join(detector.exclude),
        "not expected there": "left out" if detector.range == "filter" else "",
        "can be there": Path(detector.species_list).name,
    }
    return "; ".join(f"{name}: {labels}" for name, labels in parts.items() if labels)


def link(target: str | Path, page: Path) -> str:
    """Returns the address of a file, as a link on a page has it: relative and quoted."""
    folder, name = os.path.split(target)
    return quote(f"{_way(folder, os.path.dirname(page))}{name}")  # noqa: PTH120


@lru_cache(maxsize=100)
def _way(folder: str, start: str) -> str:
    """Returns how a page in one folder names another: empty, or with a slash at its end.

    Pages have thousands of links, to few folders.
    """
    way = os.path.relpath(folder, start)
    return "" if way == os.curdir else f"{way}/"


def data_uri(media_type: str, content: bytes) -> str:
    """Returns a picture or a sound as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in _WITH_TEMPLATES]),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=format_duration,
        clock=format_clock,
        day=format_day,
        zone=format_zone,
        minimum=format_minimum,
        selection=describe_selection,
        number="{:,}".format,
        fill=fill_rows,
    )
    environment.globals.update(count=format_count, badc_version=metadata.version("badc"))
    environment.tests["made_up"] = is_made_up
    return environment
