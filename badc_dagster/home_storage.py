"""Where a Dagster home keeps runs, events and partition keys, as its `dagster.yaml` says.

In SQLite files, which must be on a local disk, or in a Postgres database, which several homes may
share. BADC writes no password anywhere.
"""

import json
import re
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from badc_core.atomic import replacing, write_text, writing_text
from badc_core.errors import ConfigInvalid, OptionInvalid, PackageMissing

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SETTINGS = Path(__file__).with_name("dagster.yaml")
_POSTGRES = Path(__file__).with_name("postgres.yaml")
_SCHEME = "postgresql+psycopg2"
_FORM = "Write postgresql://USER@HOST:5432/DATABASE"
_WHERE_INSTEAD = (
    "Leave it out, and write the line HOST:5432:DATABASE:USER:PASSWORD into ~/.pgpass, which only "
    "you may read (docs/hpc/postgres.md)"
)
_SINGLE_STORAGES = {"run_storage", "event_log_storage", "schedule_storage"}
_LOCAL_TYPES = {
    *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "nilfs2"),
    *("reiserfs", "ntfs", "ntfs3", "fuseblk", "exfat", "vfat", "hfs", "hfsplus", "apfs"),
    *("tmpfs", "ramfs", "rootfs", "overlay", "aufs", "fuse.fuse-overlayfs", "ecryptfs"),
}
"""As the kernel calls them; `fuseblk` is a disk with a driver that is a program."""
_MACHINE_TYPES = {"9p", "virtiofs"}
"""Local where they are the root of a virtual machine or sandbox; elsewhere folders of its host."""


def parse_postgres_url(text: str) -> "URL":
    """Returns the address of a database.

    Raises:
        OptionInvalid: it names none, or has a password; the message does not repeat it.
    """
    from sqlalchemy.engine import make_url  # noqa: PLC0415  (with Dagster)
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(text)
        if url.drivername not in {"postgres", "postgresql", _SCHEME}:
            raise OptionInvalid("the URL is not one of a Postgres database", "--postgres", _FORM)
        url = url.set(drivername=_SCHEME)
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        raise OptionInvalid("the URL of the database cannot be read", "--postgres", _FORM) from None
    host = url.host or url.query.get("host")
    parts = {"user": url.username, "host": host, "database": url.database}
    if missing := [name for name, part in parts.items() if not part]:
        what = f"the URL of the database names no {' and no '.join(missing)}"
        raise OptionInvalid(what, "--postgres", _FORM)
    if url.password or any(
        "password" in one for pair in url.query.items() for one in map(str, pair)
    ):
        what = "the URL has a password, which other users of this host can see"
        raise OptionInvalid(what, "--postgres", _WHERE_INSTEAD)
    return url.set(port=5432) if url.host and not url.port else url


def name_database(url: "URL") -> str:
    """Returns an address without options; a password in it is `***`."""
    hosts = {name: url.query[name] for name in ("host", "port") if name in url.query}
    return url.set(drivername="postgresql", query=hosts).render_as_string()


def render_postgres(home: Path, url: "URL") -> str:
    """Returns the `dagster.yaml` of a home with a database as its storage, the rest as it is.

    Raises:
        ConfigInvalid: `dagster.yaml` is a link, sets single kinds of storage, or is written in a
            way that cannot be changed with certainty.
    """
    import yaml  # noqa: PLC0415  (with Dagster)

    config = home / SETTINGS.name
    if config.is_symlink():
        what = f"is a link to {config.readlink()}, so other homes may have these settings too"
        remedy = "Choose a home of its own: export DAGSTER_HOME=/a/local/folder"
        raise ConfigInvalid(what, config, remedy)
    old = _read_settings(config)
    if single := sorted(_SINGLE_STORAGES & old.keys()):
        remedy = "Remove these settings, then type the command again"
        raise ConfigInvalid(f"{', '.join(single)} name other storage", config, remedy)
    address = json.dumps(url.render_as_string(hide_password=False))
    block = Template(_POSTGRES.read_text(encoding="utf-8")).substitute(url=address)
    text = _replace_storage((config if config.exists() else SETTINGS).read_text("utf-8"), block)
    try:
        is_right = yaml.safe_load(text) == {**old, **yaml.safe_load(block)}
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        remedy = "Remove `storage` from it with an editor, then type the command again"
        raise ConfigInvalid("the storage in it cannot be replaced with certainty", config, remedy)
    return text


def create_home(home: Path) -> None:
    """Creates a home with the shipped settings if it is not there yet."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / SETTINGS.name
    if not config.exists():
        write_text(config, SETTINGS.read_text(encoding="utf-8"))


def write_settings(home: Path, text: str) -> None:
    """Replaces the `dagster.yaml` of a home; who may read it stays.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    config = home / SETTINGS.name
    with replacing(config) as aside:
        aside.touch(0o600)
        with writing_text(aside) as file:
            file.write(text)
        shutil.copymode(config, aside)


def read_postgres(home: Path, environment: Mapping[str, str]) -> "URL | None":
    """Returns the address of the database that a home uses; None for other storage.

    Raises:
        ConfigInvalid: `dagster.yaml` cannot be read or names no database, or a variable that it
            names is not set.
        PackageMissing: the package for Postgres is not installed.
    """
    storage = _read_storage(home, environment)
    if "postgres" not in storage:
        return None
    require_postgres_package(home)
    from dagster_postgres.utils import pg_url_from_config  # noqa: PLC0415  (an extra)
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    from badc_dagster.dagster_private import CheckError  # noqa: PLC0415

    try:
        url = make_url(pg_url_from_config(storage["postgres"]))
        url.get_dialect()().create_connect_args(url)
    except (TypeError, AttributeError, ValueError, ArgumentError, CheckError):
        what = "`storage: postgres:` in it names no Postgres database"
        remedy = "Correct it as docs/hpc/postgres.md says"
        raise ConfigInvalid(what, home / SETTINGS.name, remedy) from None
    return url


def uses_sqlite(home: Path) -> bool:
    """Returns whether a home keeps any runs or events in SQLite files."""
    settings = _read_settings(home / SETTINGS.name)
    storage = settings.get("storage")
    if settings.keys() >= _SINGLE_STORAGES:
        return False
    return not (isinstance(storage, dict) and storage) or "sqlite" in storage


def require_postgres_package(home: Path) -> None:
    """Returns if Dagster's package for Postgres is installed.

    Raises:
        PackageMissing: it is not.
    """
    if find_spec("dagster_postgres") is None:
        what = "the package that a Dagster home in Postgres needs is not installed"
        raise PackageMissing(what, home, "Run: pip install 'badc[postgres]'")


def require_local_disk(
    home: Path, environment: Mapping[str, str], mounts: str | None = None
) -> None:
    """Returns if the SQLite files of a home, if it has any, are on a local disk.

    Where the system does not say what is mounted, as macOS, they are believed to be.

    Args:
        home: may not exist yet.
        environment: of variables that `dagster.yaml` may name.
        mounts: `/proc/self/mountinfo`; None for that of this process.

    Raises:
        ConfigInvalid: they are not, and so may get damaged.
    """
    if not uses_sqlite(home):
        return
    sqlite = _read_storage(home, environment).get("sqlite") or {}
    folder = Path(sqlite.get("base_dir") or home).resolve()
    mounts = _read_mounts() if mounts is None else mounts
    kind, root = find_file_system(folder, mounts), find_file_system(Path("/"), mounts)
    if kind and kind not in _LOCAL_TYPES and not (kind == root and kind in _MACHINE_TYPES):
        raise ConfigInvalid(
            f"the Dagster home is not on a local disk but on {kind}, where SQLite files may get "
            "damaged",
            folder,
            "Set DAGSTER_HOME to a folder on a local disk, where badc run takes over what is "
            "finished; or use Postgres: badc home init --postgres URL (docs/hpc/postgres.md)",
        )


def find_file_system(folder: Path, mounts: str) -> str:
    """Returns the type of the file system that a folder is, or would be, on.

    Args:
        folder: without links.
        mounts: as `/proc/self/mountinfo` (man 5 proc) lists them.
    """
    found, depth = "", 0
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        if len(fields := mount.split(" ")) > 4 and source:  # noqa: PLR2004
            point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
            # The last one mounted at a point hides the others.
            if folder.is_relative_to(point) and len(point.parts) >= depth:
                found, depth = source.split(" ")[0], len(point.parts)
    return found


def _read_mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # not Linux


def _read_storage(home: Path, environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Returns what a home's settings say of its storage, with the values of variables."""
    config = home / SETTINGS.name
    storage = _read_settings(config).get("storage")
    try:
        return _fill_in(storage, environment) if isinstance(storage, dict) else {}
    except KeyError as error:
        what = f"the variable {error.args[0]}, which it names, is not set"
        raise ConfigInvalid(what, config, f"export {error.args[0]}=...") from None


def _read_settings(config: Path) -> Mapping[str, Any]:
    """Returns the settings of a home; the shipped ones if it has none yet."""
    import yaml  # noqa: PLC0415  (with Dagster)

    try:
        settings = yaml.safe_load((config if config.exists() else SETTINGS).read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigInvalid("not YAML", config, "Correct it, or move it aside") from error
    return settings if isinstance(settings, dict) else {}


def _replace_storage(text: str, block: str) -> str:
    """Returns YAML with a block in place of the lines of its storage, or at its end."""
    import yaml  # noqa: PLC0415  (with Dagster)

    root = yaml.compose(text, yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "storage":
            # A text of several lines ends after its line break.
            rest = text[_find_end(value) - 1 :].partition("\n")[2]
            return f"{text[: key.start_mark.index]}{block}{rest}"
    return f"{text.rstrip()}\n\n{block}"


def _find_end(node: Any) -> int:
    """Returns where the last value in a node ends; the node itself ends after comments."""
    while isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.index)


def _fill_in(value: Any, environment: Mapping[str, str]) -> Any:
    """Returns settings of Dagster with each `{env: NAME}` replaced by that variable."""
    if not isinstance(value, dict):
        return value
    if list(value) == ["env"]:
        return environment[value["env"]]
    return {name: _fill_in(one, environment) for name, one in value.items()}
