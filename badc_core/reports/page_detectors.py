"""What found the detections that a recording's page shows, which the page says in its head.

So an older page is known for one, without the tables of a full bundle.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from badc_core.annexed_files import require_fetched
from badc_core.errors import DatasetInvalid

_NOTE = re.compile(rb'<meta name="badc-detectors" content="([^"]*)">')
_HEAD_BYTES = 16384


def note_detectors(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Returns the element for a page's head.

    Args:
        rows: `runner`, `model_version`, `model_sha256` and `config_hash` of each detector.
    """
    return Markup('<meta name="badc-detectors" content="{}">').format(json.dumps(list(rows)))


def read_detectors(page: Path) -> list[dict[str, Any]]:
    """Returns what a page says of its detectors, in the form `note_detectors` takes it.

    Raises:
        ContentMissing: the page is annexed, and could not be fetched.
        DatasetInvalid: there is no page, or it says nothing of its detectors.
    """
    require_fetched(page)
    try:
        with page.open("rb") as file:
            found = _NOTE.search(file.read(_HEAD_BYTES))
    except OSError as error:
        raise DatasetInvalid(f"cannot be read: {error.strerror}", page, "Run: badc run") from error
    if found is None:
        raise DatasetInvalid("the page does not name its detectors", page, "Run: badc run")
    rows: list[dict[str, Any]] = json.loads(html.unescape(found[1].decode()))
    return rows
