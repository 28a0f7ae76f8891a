"""Which datasets the asset graph shows, and what their assets and jobs are called.

Kept in `datasets.toml` in the Dagster home. One is the main dataset, whose assets and partitions
carry no prefix: the first connected, except the demo, which is always `demo`. A dataset that was
disconnected keeps its row, hence its name and place. No Dagster here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.atomic import write_text
from badc_core.datasets.names import (
    CHECKOUT,
    DEMO_NAME,
    DEMO_ROOT,
    find_free_name,
    is_demo,
    is_same_folder,
    require_text,
    to_name,
)
from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.locks import locked
from badc_core.toml_files import read_toml, render_toml

_REMEDY = "Delete it, then: badc scan DATASET"
_FILE = "datasets.toml"
_HEADING = "# Datasets in the asset graph; written by badc data connect, badc scan and badc run.\n"


@dataclass(frozen=True)
class Origin:
    """Where a dataset came from.

    Attributes:
        url: what it was cloned from; empty for a folder that was here.
        method: `datalad`, `git`, or `path` for a plain folder.
    """

    url: str = ""
    method: str = "path"


@dataclass(frozen=True)
class Connection:
    """A dataset in the asset graph, or one that was.

    Attributes:
        name: unique, `[a-z0-9_]+`.
        root: its folder, absolute.
        is_main: whether its assets and partitions carry no prefix.
        origin: where it came from; None where nobody said.
        is_connected: whether it is in the asset graph.
        last_connected: when it was connected; None in a list that did not keep that yet.
    """

    name: str
    root: Path
    is_main: bool = False
    origin: Origin | None = None
    is_connected: bool = True
    last_connected: datetime | None = None

    @property
    def key_prefix(self) -> list[str]:
        """Prefix of its asset keys."""
        return [] if self.is_main else [self.name]

    @property
    def partitions_name(self) -> str:
        """Name of its dynamic partitions."""
        return "recordings" if self.is_main else f"recordings/{self.name}"

    def scoped(self, name: str) -> str:
        """Returns a name for a job, sensor or resource of this dataset."""
        return name if self.is_main else f"{self.name}__{name}"


def read_connections(home: Path) -> tuple[Connection, ...]:
    """Returns the connected datasets; where there never was one the demo's place, in a checkout.

    Raises:
        ConfigInvalid: `datasets.toml` cannot be read.
    """
    if not (home / _FILE).exists():
        is_checkout = (CHECKOUT / "pyproject.toml").exists()
        return (Connection(DEMO_NAME, DEMO_ROOT),) if is_checkout else ()
    return tuple(one for one in read_known(home) if one.is_connected)


def read_known(home: Path) -> tuple[Connection, ...]:
    """Returns every dataset that is connected or was.

    Raises:
        ConfigInvalid: `datasets.toml` cannot be read.
    """
    path = home / _FILE
    if not path.exists():
        return ()
    try:
        rows = read_toml(path, _REMEDY)["dataset"]
        return tuple(map(_read_row, rows))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigInvalid(f"not a list of datasets ({error})", path, _REMEDY) from error


def find_connection(home: Path, root: Path) -> Connection | None:
    """Returns the connection of a dataset folder; None where it is not connected.

    Raises:
        ConfigInvalid: `datasets.toml` cannot be read.
    """
    found = _find_folder(read_known(home), absolute(root))
    return found if found is not None and found.is_connected else None


def connect(
    home: Path,
    root: Path,
    name: str | None = None,
    origin: Origin | None = None,
    wants_main: bool = False,
) -> Connection:
    """Returns the connection for a dataset folder, adding it where it is new.

    Processes that connect at the same time take turns, so that no two get the same name. Events
    keep the names of assets: whether the main dataset may change is for the caller to know.

    Args:
        home: the Dagster home.
        root: the dataset's folder.
        name: what to call it; by default the folder's name. With the name of a dataset that is
            disconnected, or whose folder is gone, this is that dataset, moved.
        origin: where it came from; None for what is known.
        wants_main: it becomes the main dataset.

    Raises:
        ConfigInvalid: the name belongs to another folder, or cannot be used, or the folder is
            connected under another name, or the demo would become the main dataset.
        DatasetInvalid: the folder's name is not UTF-8.
    """
    root = absolute(root)
    with locked(home / ".datasets.lock"):
        known = read_known(home)
        before = find_place(known, root, name, wants_main)
        is_known = before in known and before.is_connected
        if is_known and origin is None and before.is_main >= wants_main:
            return before
        now = replace(
            before,
            is_main=before.is_main or wants_main,
            origin=origin or before.origin,
            is_connected=True,
            last_connected=datetime.now(UTC).replace(microsecond=0),
        )
        others = [replace(one, is_main=one.is_main and not now.is_main) for one in known]
        _write(home, _put(others, now))
    return now


def disconnect(home: Path, connection: Connection) -> Connection:
    """Takes a dataset out of the asset graph, and returns its row; name and place stay its own."""
    with locked(home / ".datasets.lock"):
        known = read_known(home)
        # It may have been given minutes ago: another process may have changed the row since.
        now = next((one for one in known if one.name == connection.name), connection)
        gone = replace(now, is_connected=False)
        _write(home, _put(known, gone))
    return gone


def find_place(
    known: Sequence[Connection], root: Path, name: str | None, wants_main: bool = False
) -> Connection:
    """Returns what a dataset folder is connected as, or would be; raises as `connect`."""
    before = _find_folder(known, root)
    if before is not None and name not in {None, before.name}:
        raise ConfigInvalid(
            f"already connected as {before.name!r}",
            root,
            "Leave out the other name: two names for one folder would overwrite each other's "
            "results",
        )
    if before is None and name is not None:
        moved = (one for one in known if one.name == name and not _is_in_use(one))
        before = next((replace(one, root=root) for one in moved), None)
    if before is None:
        require_text(root)
        is_main = not is_demo(root) and not any(one.is_main for one in known)
        before = Connection(_new_name(root, name, known), root, is_main)
    if wants_main and is_demo(root):
        raise ConfigInvalid("the demo is never the main dataset", root, "Leave --main away")
    return before


def _read_row(row: Mapping[str, Any]) -> Connection:
    """Returns a dataset as it is written in the list."""
    return Connection(
        str(row["name"]),
        Path(row["root"]),
        bool(row["main"]),
        Origin(str(row["url"]), str(row["method"])) if "method" in row else None,
        row["status"] == "connected",
        _read_time(row.get("last_connected")),
    )


def _read_time(value: Any) -> datetime | None:
    return value if value is None or isinstance(value, datetime) else datetime.fromisoformat(value)


def _write(home: Path, connections: Sequence[Connection]) -> None:
    rows = [_write_row(one) for one in connections]
    write_text(home / _FILE, f"{_HEADING}{render_toml({'dataset': rows})}")


def _write_row(one: Connection) -> dict[str, Any]:
    row: dict[str, Any] = {"name": one.name, "root": str(one.root), "main": one.is_main}
    if one.origin is not None:
        row |= {"url": one.origin.url, "method": one.origin.method}
    row["status"] = "connected" if one.is_connected else "disconnected"
    if one.last_connected is not None:
        row["last_connected"] = one.last_connected
    return row


def _put(known: Sequence[Connection], one: Connection) -> list[Connection]:
    """Returns the list with a dataset in place of the one of its name, or at the end."""
    if all(other.name != one.name for other in known):
        return [*known, one]
    return [one if other.name == one.name else other for other in known]


def _find_folder(known: Sequence[Connection], root: Path) -> Connection | None:
    return next((one for one in known if is_same_folder(one.root, root)), None)


def _is_in_use(one: Connection) -> bool:
    return one.is_connected and one.root.exists()


def _new_name(root: Path, name: str | None, known: Sequence[Connection]) -> str:
    wanted = to_name(name or (DEMO_NAME if is_demo(root) else root.name))
    names = {one.name for one in known} | (set() if is_demo(root) else {DEMO_NAME})
    if name is not None and wanted != name:
        what = f"the dataset name {name!r} has characters other than a-z, 0-9 and _"
        raise ConfigInvalid(what, root, f"Choose another name, such as {wanted}")
    if name is not None and wanted in names:
        owner = next((one.root for one in known if one.name == wanted), None)
        why = "kept for the demo" if owner is None else f"taken by {owner}"
        raise ConfigInvalid(f"the dataset name {name!r} is {why}", root, "Choose another name")
    return find_free_name(wanted, names)
