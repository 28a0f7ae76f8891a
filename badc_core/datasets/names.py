"""What datasets are called, and which of them is the demo."""

import re
from pathlib import Path

from badc_core.errors import DatasetInvalid
from badc_core.settings import SETTINGS_FILE

DEMO_NAME = "demo"
DEMO_MARK = "# Settings of the demo dataset"
"""How the demo's settings begin, by which it is recognised outside a checkout too."""
CHECKOUT = Path(__file__).parents[2]
DEMO_ROOT = CHECKOUT / "data" / "demo"
"""Where `make demo` puts the demo, in a checkout."""


def to_name(text: str) -> str:
    """Returns the name of a dataset that is called so, or whose folder is: `[a-z0-9_]+`."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_") or "dataset"


def find_free_name(wanted: str, names: set[str]) -> str:
    """Returns a name that no dataset has: the wanted one, or that with a number."""
    free, number = wanted, 2
    while free in names:
        free, number = f"{wanted}_{number}", number + 1
    return free


def require_text(root: Path) -> None:
    """Returns if a folder's path can be written down.

    Raises:
        DatasetInvalid: it is not UTF-8.
    """
    try:
        str(root).encode()
    except UnicodeEncodeError as error:
        what = "the folder's name is not UTF-8"
        raise DatasetInvalid(what, ascii(str(root)), "Rename it") from error


def is_demo(root: Path) -> bool:
    """Returns whether a folder is the demo, or a copy of it."""
    settings = root / SETTINGS_FILE
    has_mark = settings.is_file() and settings.read_bytes().startswith(DEMO_MARK.encode())
    return has_mark or is_same_folder(root, DEMO_ROOT)


def is_same_folder(one: Path, other: Path) -> bool:
    """Returns whether two paths lead to one folder, links included."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))
