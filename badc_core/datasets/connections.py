"""Which datasets the asset graph shows, and what their assets and jobs are called.

Kept in `datasets.toml` in the Dagster home. The first dataset connected without a name is the main
one: its assets and partitions carry no prefix. The demo is always `demo`, wherever it is. No
Dagster here.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from badc_core.atomic import write_text
from badc_core.errors import ConfigInvalid
from badc_core.locks import locked
from badc_core.settings import SETTINGS_FILE
from badc_core.toml_files import read_toml

_REMEDY = "Delete it, then: badc scan DATASET"
_FILE = "datasets.toml"
DEMO_NAME = "demo"
DEMO_MARK = "# Settings of the demo dataset"
"""How the demo's settings begin, by which it is recognised outside a checkout too."""
_CHECKOUT = Path(__file__).parents[2]
DEMO_ROOT = _CHECKOUT / "data" / "demo"
"""Where `make demo` puts the demo, in a checkout."""


@dataclass(frozen=True)
class Connection:
    """A dataset in the asset graph.

    Attributes:
        name: empty for the main dataset, else unique, `[a-z0-9_]+`.
        root: its folder, absolute.
    """

    name: str
    root: Path

    @property
    def title(self) -> str:
        """The name to show."""
        return self.name or self.root.name

    @property
    def key_prefix(self) -> list[str]:
        """Prefix of its asset keys."""
        return [self.name] if self.name else []

    @property
    def partitions_name(self) -> str:
        """Name of its dynamic partitions."""
        return f"recordings/{self.name}" if self.name else "recordings"

    @property
    def group_name(self) -> str:
        """Asset group it is shown in."""
        return self.name or "default"

    def scoped(self, name: str) -> str:
        """Returns a name for a job, sensor or resource of this dataset."""
        return f"{self.name}__{name}" if self.name else name


def read_connections(home: Path) -> tuple[Connection, ...]:
    """Returns the connected datasets; where there is none yet the demo's place, in a checkout.

    Raises:
        ConfigInvalid: `datasets.toml` cannot be read.
    """
    path = home / _FILE
    if not path.exists():
        is_checkout = (_CHECKOUT / "pyproject.toml").exists()
        return (Connection(DEMO_NAME, DEMO_ROOT),) if is_checkout else ()
    try:
        rows = read_toml(path, _REMEDY)["dataset"]
        return tuple(_connection(row["name"], Path(row["root"])) for row in rows)
    except (KeyError, TypeError) as error:
        raise ConfigInvalid(f"not a list of datasets ({error})", path, _REMEDY) from error


def find_connection(home: Path, root: Path) -> Connection | None:
    """Returns the connection of a dataset folder; None where it was never connected.

    Raises:
        ConfigInvalid: `datasets.toml` cannot be read.
    """
    if not (home / _FILE).exists():
        return None
    root = Path(os.path.abspath(root))  # noqa: PTH100
    return next((one for one in read_connections(home) if _is_same_folder(one.root, root)), None)


def connect(home: Path, root: Path, name: str | None = None) -> Connection:
    """Returns the connection for a dataset folder, adding it where it is new.

    Processes that connect at the same time take turns, so that no two get the same name.

    Args:
        home: the Dagster home.
        root: the dataset's folder.
        name: what to call it; by default the folder's name, and nothing for the main dataset.

    Raises:
        ConfigInvalid: the name belongs to another folder, or cannot be used, or the folder is
            connected under another name.
    """
    with locked(home / ".datasets.lock"):
        return _connect(home, Path(os.path.abspath(root)), name)  # noqa: PTH100


def _connect(home: Path, root: Path, name: str | None) -> Connection:
    known = read_connections(home) if (home / _FILE).exists() else ()
    for connection in known:
        if not _is_same_folder(connection.root, root):
            continue
        if name in {None, connection.name}:
            return connection
        raise ConfigInvalid(
            f"already connected as {connection.title!r}",
            root,
            "Leave --name away: two names for one folder would overwrite each other's results",
        )
    added = Connection(_new_name(root, name, known), root)
    rows = "".join(
        f"[[dataset]]\nname = {_quoted(one.name)}\nroot = {_quoted(str(one.root))}\n\n"
        for one in (*known, added)
    )
    write_text(
        home / _FILE, f"# Datasets in the asset graph; written by badc scan and run.\n\n{rows}"
    )
    return added


def _connection(name: str, root: Path) -> Connection:
    """Returns a connection as it was written; the demo was the main dataset once."""
    return Connection(name or (DEMO_NAME if root == DEMO_ROOT else ""), root)


def _is_same_folder(one: Path, other: Path) -> bool:
    """Returns whether two paths lead to one folder, links included."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _has_demo_mark(settings: Path) -> bool:
    return settings.is_file() and settings.read_bytes().startswith(DEMO_MARK.encode())


def _new_name(root: Path, name: str | None, known: tuple[Connection, ...]) -> str:
    is_demo = _is_same_folder(root, DEMO_ROOT) or _has_demo_mark(root / SETTINGS_FILE)
    if name is None and not is_demo and all(one.name for one in known):
        return ""
    wished = name or (DEMO_NAME if is_demo else root.name)
    wanted = re.sub(r"[^a-z0-9_]+", "_", wished.lower()).strip("_") or "dataset"
    taken = {one.name for one in known}
    if name is not None and (wanted != name or wanted in taken):
        raise ConfigInvalid(
            f"the dataset name {name!r} is taken or has characters other than a-z, 0-9 and _",
            root,
            "Choose another with --name",
        )
    number = 2
    free = wanted
    while free in taken:
        free = f"{wanted}_{number}"
        number += 1
    return free


def _quoted(text: str) -> str:
    """Returns a TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
