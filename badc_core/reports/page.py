"""How a page is made of a template: the environment, and numbers and times for people.

What is on a page is decided in `recording_page.py` and `corpus_page.py`; how it looks in
`templates/`. Pages ask for nothing from outside: style, charts, pictures and sound are inside.
"""

import base64
from datetime import datetime
from functools import cache
from importlib import metadata
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from badc_core.recordings.clock import format_offset
from badc_core.units import format_duration


def render_page(template: str, **context: Any) -> str:
    """Returns a page; everything in the context is escaped.

    Args:
        template: its file name in `templates/`.
        context: what it names.
    """
    version = metadata.version("badc")
    return _environment().get_template(template).render(badc_version=version, **context)


def format_count(number: int, one: str, many: str = "") -> str:
    """Returns a number with its noun: `1 recording`, `1,200 recordings`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def is_made_up(model_version: str) -> bool:
    """Tells whether a detector's networks are made up, as its version says: `2.3.0+3.random`."""
    return "random" in model_version.partition("+")[2].split(".")


def format_clock(time: datetime | None, with_seconds: bool = False) -> str:
    """Returns a clock time such as `05:30`; a dash where it is not known."""
    if time is None:
        return "-"
    return f"{time:%H:%M:%S}" if with_seconds else f"{time:%H:%M}"


def format_day(time: datetime | None) -> str:
    """Returns a date such as `Tuesday 14 May 2024`."""
    return f"{time:%A} {time.day} {time:%B %Y}" if time else "date unknown"


def format_zone(utc_offset_min: int | None) -> str:
    """Returns what local time at the station differs from UTC by, such as `UTC-07:00`."""
    if utc_offset_min is None:
        return "local time, zone unknown"
    return f"UTC{format_offset(utc_offset_min)}"


def png_uri(png: bytes) -> str:
    """Returns a picture as an address that needs no file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("badc_core.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=format_duration, clock=format_clock, day=format_day, zone=format_zone
    )
    environment.globals["count"] = format_count
    environment.tests["made_up"] = is_made_up
    return environment
