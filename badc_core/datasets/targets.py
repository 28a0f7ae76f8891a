"""Which dataset is meant by what was typed after `badc data`: a name, or a folder."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.accounts import expand_home
from badc_core.datasets.connections import Connection
from badc_core.datasets.names import to_name
from badc_core.datasets.original_list import ListedDataset
from badc_core.errors import DatasetInvalid
from badc_core.file_names import absolute

DATASETS_FOLDER = Path("data/datalad")
"""Where datasets are cloned to, below the current folder, as the original BADC has it."""
_KNOWN_URLS = {"bogus": "https://github.com/UBC-FRESH/badc-bogus-data.git"}
"""The small public dataset that the original BADC knows without being told."""


@dataclass(frozen=True)
class Target:
    """The dataset that is meant.

    Attributes:
        key: its name as it was typed; of a folder, the folder's.
        name: what it is called in the asset graph; None for a name of the folder's.
        root: its folder, absolute, whether it is there or not.
        url: what it can be cloned from; empty where that is not known.
    """

    key: str
    name: str | None
    root: Path
    url: str


def find_target(
    typed: str,
    parent: Path | None,
    url: str,
    known: Sequence[Connection],
    listed: Sequence[ListedDataset],
) -> Target:
    """Returns the dataset that is meant; it may be neither here nor known.

    Args:
        typed: a name, or the path of a folder.
        parent: the folder that it is in, or is to be in, if that was typed too.
        url: what to clone it from, if that was typed too.
        known: datasets that are connected or were.
        listed: those in the list of the original BADC.

    Raises:
        DatasetInvalid: nothing was typed.
    """
    if not typed.strip():
        raise DatasetInvalid("no name of a dataset", "", "Give a name, or a folder")
    if url and Path(url).exists():
        url = str(absolute(expand_home(url)))
    if os.sep in typed or typed in {".", ".."}:
        return _folder(Path(typed), url, known)
    name = to_name(typed)
    row = next((one for one in known if one.name == name), None)
    old = next((one for one in listed if one.name == name), None)
    urls = (url, row.origin.url if row and row.origin else "", old.url if old else "")
    found_url = next(filter(None, (*urls, _KNOWN_URLS.get(typed, ""))), "")
    usual = (parent or DATASETS_FOLDER) / typed
    places = [row.root if row else None, old.path if old else None] if parent is None else []
    place = next((one for one in places if one is not None), None)
    if place is None and not url and not usual.exists() and Path(typed).is_dir():
        return _folder(Path(typed), found_url, known)
    return Target(typed, name, absolute(expand_home(place or usual)), found_url)


def require_known(typed: str, target: Target, known: Iterable[Connection]) -> Connection:
    """Returns the connected dataset that is meant.

    Raises:
        DatasetInvalid: there is none; the message lists those that there are.
    """
    connected = [one for one in known if one.is_connected]
    by_name = (one for one in connected if one.name == target.name)
    by_root = (one for one in connected if one.root == target.root)
    found = next(by_root if target.name is None else by_name, None)
    if found is None:
        names = ", ".join(one.name for one in connected) or "none"
        raise DatasetInvalid("not a connected dataset", typed, f"Connected: {names}")
    return found


def _folder(path: Path, url: str, known: Iterable[Connection]) -> Target:
    root = absolute(expand_home(path))
    row = next((one for one in known if one.root == root), None)
    return Target(root.name, row.name if row else None, root, url or _url(row))


def _url(row: Connection | None) -> str:
    return row.origin.url if row and row.origin else ""
