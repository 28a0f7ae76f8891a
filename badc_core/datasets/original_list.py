"""The original BADC's list of datasets: `[datasets.NAME]` with path, url, method and status.

It is read, so that its datasets are found by their names, and kept up to date where there is one,
for whatever else reads it. What is in the asset graph says `connections.py`, not this list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.accounts import expand_home
from badc_core.atomic import write_text
from badc_core.datasets.connections import Connection
from badc_core.datasets.names import find_free_name, is_same_folder, to_name
from badc_core.errors import ConfigInvalid
from badc_core.locks import locked
from badc_core.toml_files import read_toml, render_toml

_REMEDY = "Correct it, or name another with BADC_DATA_CONFIG"
_TABLE = "datasets"


@dataclass(frozen=True)
class ListedDataset:
    """A dataset in that list.

    Attributes:
        key: its name there.
        path: its folder; None where none is written.
        url: what it was cloned from; empty where none is written.
        method: `datalad`, `git` or `git-submodule`.
        status: `connected` or `disconnected`.
        last_connected: as written.
    """

    key: str
    path: Path | None
    url: str
    method: str
    status: str
    last_connected: str

    @property
    def name(self) -> str:
        """What it is called in the asset graph."""
        return to_name(self.key)


def read_listed(path: Path) -> tuple[ListedDataset, ...]:
    """Returns the datasets of a list; none where there is no such file.

    Raises:
        ConfigInvalid: it is no such list.
    """
    return tuple(_listed(key, row) for key, row in sorted(_read_rows(path).items()))


def update_listed(path: Path, key: str, connection: Connection) -> None:
    """Writes a dataset's row of a list as the original would; other rows stay.

    Processes that write a list at the same time take turns.

    Args:
        path: of the list; made where it is not there.
        key: the dataset's name as it was typed, for the row of one that the list does not have.
        connection: the dataset.

    Raises:
        ConfigInvalid: there is another file.
        StorageFull, OutputUnwritable: it cannot be written.
    """
    with locked(path.with_name(f".{path.name}.lock")):
        content = _read(path)
        rows = content.setdefault(_TABLE, {})
        key = _find_key(rows, key, connection)
        rows[key] = _update_row(rows.get(key, {}), connection)
        write_text(path, render_toml(content))


def _find_key(rows: Mapping[str, Mapping[str, Any]], typed: str, connection: Connection) -> str:
    """Returns the key of a dataset's row, or of the one it gets.

    A row of its name is its own, too, unless that is of a folder in use: so a dataset that was
    moved keeps its row, and another of the same name gets one of its own.
    """
    listed = {key: _listed(key, row) for key, row in rows.items()}
    for key, one in listed.items():
        if one.path is not None and is_same_folder(one.path, connection.root):
            return key
    for key, one in listed.items():
        if one.name == connection.name and not _is_in_use(one):
            return key
    return find_free_name(connection.name, set(rows)) if typed in rows else typed


def _is_in_use(one: ListedDataset) -> bool:
    return one.path is not None and one.status != "disconnected" and one.path.exists()


def _update_row(row: Mapping[str, Any], connection: Connection) -> dict[str, Any]:
    after = {**row, "path": str(connection.root)}
    now = datetime.now(UTC).isoformat()
    if connection.is_connected:
        if connection.origin is not None:
            after |= {"url": connection.origin.url, "method": connection.origin.method}
        after |= {"status": "connected", "last_connected": now}
    else:
        after |= {"status": "disconnected", "last_disconnected": now}
    return {name: value for name, value in after.items() if value != ""}


def _listed(key: str, row: Mapping[str, Any]) -> ListedDataset:
    path = str(row.get("path", ""))
    fields = ("url", "method", "status", "last_connected")
    texts = [str(row.get(name, "")) for name in fields]
    return ListedDataset(key, expand_home(path) if path else None, *texts)


def _read_rows(path: Path) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = _read(path).get(_TABLE, {})
    return rows


def _read(path: Path) -> dict[str, Any]:
    """Returns the content of the list's file.

    Raises:
        ConfigInvalid: it is no such list.
    """
    try:
        content = read_toml(path, _REMEDY)
    except FileNotFoundError:
        return {}
    rows = content.get(_TABLE, {})
    if not isinstance(rows, dict) or not all(isinstance(one, dict) for one in rows.values()):
        raise ConfigInvalid("not a list of datasets", path, _REMEDY)
    return content
