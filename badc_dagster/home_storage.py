"""Where a Dagster home keeps runs, events and partition keys, as its `dagster.yaml` says.

In SQLite files, which must not be on a network disk, or in a Postgres database, which several homes
may share. Passwords are kept out of `dagster.yaml`, and of what is printed.
"""

import json
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from badc_core.atomic import replacing, write_text
from badc_core.errors import ConfigInvalid, PackageMissing

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SETTINGS = Path(__file__).with_name("dagster.yaml")
_POSTGRES = Path(__file__).with_name("postgres.yaml")
_PASSWORD_FILE = ".pgpass"  # noqa: S105  (a file's name)
_SCHEME = "postgresql+psycopg2"
_FORM = "Write postgresql://USER@HOST:5432/DATABASE"
_STORAGE_BLOCK = re.compile(r"^storage:.*\n(?:[ \t]+.*\n|\n)*", re.MULTILINE)
_NETWORK_TYPES = re.compile(
    "afs|beegfs|(fuse[.])?ceph|cifs|fhgfs|(fuse[.])?glusterfs|gpfs|lustre|nfs4?|orangefs|panfs|"
    "pvfs2|smb[23]|smbfs|fuse[.]sshfs|wekafs"
)
"""As the kernel calls them, those of computing clusters and of file servers."""


def parse_postgres_url(text: str) -> "URL":
    """Returns the address of a database.

    Raises:
        ConfigInvalid: it names none; the message does not repeat it, since a password may be in it.
    """
    from sqlalchemy.engine import make_url  # noqa: PLC0415  (with Dagster)
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigInvalid("the URL of the database cannot be read", "--postgres", _FORM) from None
    if url.drivername not in {"postgres", "postgresql", _SCHEME}:
        raise ConfigInvalid("the URL is not one of a Postgres database", "--postgres", _FORM)
    host = url.host or url.query.get("host")
    parts = {"user": url.username, "host": host, "database": url.database}
    if missing := [name for name, part in parts.items() if not part]:
        what = f"the URL of the database names no {' and no '.join(missing)}"
        raise ConfigInvalid(what, "--postgres", _FORM)
    if url.query.get("password"):
        what = "the password is among the options of the URL"
        raise ConfigInvalid(what, "--postgres", "Write postgresql://USER:PASSWORD@HOST/DATABASE")
    return url.set(drivername=_SCHEME, port=url.port or 5432)


def name_database(url: "URL") -> str:
    """Returns an address without password and options."""
    return url.set(drivername="postgresql", password=None, query={}).render_as_string()


def write_postgres(home: Path, url: "URL") -> None:
    """Has the `dagster.yaml` of a home name a database; its other settings stay.

    A password goes into a file beside it that only the user may read.

    Raises:
        ConfigInvalid: `dagster.yaml` is a link, or sets single kinds of storage.
        StorageFull, OutputUnwritable: it cannot be written.
    """
    config = home / SETTINGS.name
    if config.is_symlink():
        remedy = "Choose a home of its own: export DAGSTER_HOME=/a/local/folder"
        raise ConfigInvalid("the settings are those of the checkout", config, remedy)
    text = (config if config.exists() else SETTINGS).read_text(encoding="utf-8")
    if single := re.findall(r"^((?:run|event_log|schedule)_storage):", text, re.MULTILINE):
        remedy = "Remove these settings, then type the command again"
        raise ConfigInvalid(f"{', '.join(single)} name other storage", config, remedy)
    options: dict[str, Any] = dict(url.query)
    passwords = home / _PASSWORD_FILE
    if url.password:
        escaped = re.sub(r"([:\\])", r"\\\1", str(url.password))
        _write_private(passwords, f"*:*:*:*:{escaped}\n")
        options["passfile"] = str(passwords)
    else:
        passwords.unlink(missing_ok=True)
    host = url.host or ""
    values = {
        "username": url.username,
        "hostname": f"[{host}]" if ":" in host else host,
        "port": url.port,
        "database": url.database,
        "params": options,
    }
    block = Template(_POSTGRES.read_text(encoding="utf-8")).substitute(
        {name: json.dumps(value) for name, value in values.items()}
    )
    write_text(config, f"{_STORAGE_BLOCK.sub('', text).rstrip()}\n\n{block}")


def read_postgres(home: Path, environment: Mapping[str, str]) -> "URL | None":
    """Returns the address of the database that a home uses; None for SQLite files.

    Raises:
        ConfigInvalid: `dagster.yaml` cannot be read, or a variable that it names is not set.
        PackageMissing: the package for Postgres is not installed.
    """
    postgres = _read_storage(home).get("postgres")
    if postgres is None:
        return None
    require_postgres_package(home)
    from dagster_postgres.utils import pg_url_from_config  # noqa: PLC0415  (an extra)
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    try:
        return make_url(pg_url_from_config(_fill_in(postgres, environment)))
    except KeyError as error:
        what = f"the variable {error.args[0]}, which it names, is not set"
        raise ConfigInvalid(what, home / SETTINGS.name, f"export {error.args[0]}=...") from None


def require_postgres_package(home: Path) -> None:
    """Returns if Dagster's package for Postgres is installed.

    Raises:
        PackageMissing: it is not.
    """
    if find_spec("dagster_postgres") is None:
        what = "the package that a Dagster home in Postgres needs is not installed"
        raise PackageMissing(what, home, "Run: pip install 'badc[postgres]'")


def require_local_disk(home: Path, mounts: str | None = None) -> None:
    """Returns if the SQLite files of a home are on a local disk, as far as one can know.

    Args:
        home: may not exist yet.
        mounts: `/proc/self/mountinfo`; None for that of this process.

    Raises:
        ConfigInvalid: they are on a network disk, where SQLite files get damaged.
    """
    sqlite = _read_storage(home).get("sqlite") or {}
    folder = Path(sqlite["base_dir"]) if isinstance(sqlite.get("base_dir"), str) else home
    kind = find_file_system(folder.resolve(), _read_mounts() if mounts is None else mounts)
    if _NETWORK_TYPES.fullmatch(kind):
        raise ConfigInvalid(
            f"the Dagster home is on a network disk ({kind}), where SQLite files get damaged",
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


def _read_storage(home: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415  (with Dagster)

    config = home / SETTINGS.name
    try:
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigInvalid("not YAML", config, "Correct it, or move it aside") from error
    storage = settings.get("storage") if isinstance(settings, dict) else None
    return storage if isinstance(storage, dict) else {}


def _fill_in(value: Any, environment: Mapping[str, str]) -> Any:
    """Returns settings of Dagster with each `{env: NAME}` replaced by that variable."""
    if not isinstance(value, dict):
        return value
    if list(value) == ["env"]:
        return environment[value["env"]]
    return {name: _fill_in(one, environment) for name, one in value.items()}


def _write_private(path: Path, text: str) -> None:
    with replacing(path) as aside:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
