"""The original BADC's list of datasets: `[datasets.NAME]` with path, url, method and status.

It is read, so that its datasets are found by their names, and kept up to date where there is one,
for whatever else reads it. What is in the asset graph says `connections.py`, not this list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.atomic import write_text
from badc_core.datasets.connections import Connection
from badc_core.datasets.names import to_name
from badc_core.errors import ConfigInvalid
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

    Args:
        path: of the list; made where it is not there.
        key: the dataset's name as it was typed, where the list does not have it yet.
        connection: the dataset.

    Raises:
        ConfigInvalid: there is another file.
        StorageFull, OutputUnwritable: it cannot be written.
    """
    content = _read(path)
    rows = content.setdefault(_TABLE, {})
    key = next((one for one in rows if to_name(one) == connection.name), key)
    row = rows.setdefault(key, {})
    row["path"] = str(connection.root)
    now = datetime.now(UTC).isoformat()
    if connection.is_connected:
        if connection.origin is not None:
            row |= {"url": connection.origin.url, "method": connection.origin.method}
        row |= {"status": "connected", "last_connected": now}
    else:
        row |= {"status": "disconnected", "last_disconnected": now}
    rows[key] = {name: value for name, value in row.items() if value != ""}
    write_text(path, render_toml(content))


def _listed(key: str, row: Mapping[str, Any]) -> ListedDataset:
    path = str(row.get("path", ""))
    fields = ("url", "method", "status", "last_connected")
    texts = [str(row.get(name, "")) for name in fields]
    return ListedDataset(key, Path(path).expanduser() if path else None, *texts)


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
