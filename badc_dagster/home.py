"""The Dagster home: where it is, and preparing it once.

A fresh home that several processes use first at the same time is ruined for good (two heads in
its migration table, dagster#27390), so it is initialised alone, under a lock. Which storage it uses
is in `home_storage.py`. The environment is read here and nowhere else in this package.
`python -m badc_dagster.home` prints where it is.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from badc_core.accounts import expand_home, home_folder
from badc_core.atomic import STORAGE_FULL, remove_folder
from badc_core.errors import BadcError, ConfigInvalid, OutputUnwritable, StorageFull
from badc_core.locks import is_locked, locked
from badc_dagster.home_storage import (
    SETTINGS,
    create_home,
    name_database,
    parse_postgres_url,
    read_postgres,
    render_postgres,
    require_local_disk,
    require_postgres_package,
    uses_sqlite,
    write_settings,
)
from badc_dagster.postgres import explain_postgres_error, kinds_of_postgres_error, make_tables

if TYPE_CHECKING:
    from dagster import DagsterInstance

_VARIABLE = "DAGSTER_HOME"
_ORIGINAL_LIST = "BADC_DATA_CONFIG"
_NEEDED_BYTES = 1 << 16
_MARK, _BEGUN, _LOCK = ".initialised", ".initialising", ".initialise.lock"
_DATABASES = ("history", "schedules")
_CHECKOUT_HOME = Path(__file__).parent.parent / "dagster_home"


def home_path() -> Path:
    """Returns the Dagster home.

    `DAGSTER_HOME` as exported, or as `.env` in the current folder sets it; else `dagster_home/` in
    a checkout; else a folder of the user's.
    """
    given = os.environ.get(_VARIABLE) or _env_file_home()
    if given:
        return Path(given).absolute()
    return _CHECKOUT_HOME if _CHECKOUT_HOME.is_dir() else _user_home()


def is_initialised() -> bool:
    """Returns whether anything can have been stored in the home."""
    home = home_path()
    return (home / _MARK).exists() or read_postgres(home, os.environ) is not None


def lock_folder() -> Path:
    """Returns the folder of the home that has the locks of its runs (`liveness.py`)."""
    return home_path() / "live"


def original_list_path() -> Path:
    """Returns where the original BADC keeps its list of datasets."""
    given = os.environ.get(_ORIGINAL_LIST)
    return expand_home(given) if given else home_folder() / ".config" / "badc" / "data.toml"


def keeps_original_list() -> bool:
    """Returns whether that list is in use here: it is there, or was asked for by name."""
    return _ORIGINAL_LIST in os.environ or original_list_path().exists()


def is_checkout_home() -> bool:
    """Returns whether the home is the one in this checkout, which `make dev` shows."""
    return home_path() == _CHECKOUT_HOME


def explain_other_home() -> str:
    """Returns a warning where `dagster`, started here, would use another home; else nothing.

    For Dagster's own commands `.env` overrules what is exported.
    """
    home, other = home_path(), _env_file_home()
    if not other or Path(other).absolute() == home:
        return ""
    return (
        f"badc uses the Dagster home {home}, since DAGSTER_HOME is exported, but dagster commands "
        f"in this folder use {other}, as .env says. To use that one: unset {_VARIABLE}"
    )


def prepare_home() -> Path:
    """Returns the Dagster home, its storage initialised, and sets `DAGSTER_HOME` to it.

    Raises:
        ConfigInvalid: it cannot be written to, its SQLite files would not be on a local disk, or
            its database cannot be used.
    """
    home = home_path()
    with _writing_home(home):
        database = read_postgres(home, os.environ)
        require_local_disk(home, os.environ)
        create_home(home)
        os.environ[_VARIABLE] = str(home)
        with naming_home_trouble():
            if database is not None:
                make_tables(database)
            elif not (home / _MARK).exists():
                _initialise(home)
    return home


def use_postgres(text: str) -> bool:
    """Has the home keep runs, events and keys in a Postgres database.

    Nothing changes where the database refuses.

    Args:
        text: its URL, without a password.

    Returns:
        Whether there are earlier runs, which stay in SQLite files of the home.

    Raises:
        ConfigInvalid: the database or the home cannot be used, or a run is going on.
    """
    url, home = parse_postgres_url(text), home_path()
    require_postgres_package(home)
    with _writing_home(home):
        before = read_postgres(home, os.environ)
        settings = render_postgres(home, url)
        if before != url:
            _require_no_run(home)
        with naming_home_trouble():
            make_tables(url)
        create_home(home)
        write_settings(home, settings)
    return before is None and (home / _DATABASES[0]).exists()


def name_storage() -> str:
    """Returns what the home keeps runs, events and keys in."""
    home = home_path()
    if database := read_postgres(home, os.environ):
        return name_database(database)
    return "SQLite files" if uses_sqlite(home) else f"what {home / SETTINGS.name} names"


def open_instance() -> "DagsterInstance":
    """Returns the instance of the prepared home; the same that the UI shows."""
    import dagster as dg  # noqa: PLC0415  (two seconds)

    from badc_dagster.dagster_private import keep_postgres_connections  # noqa: PLC0415

    database = read_postgres(prepare_home(), os.environ)
    with naming_home_trouble():
        instance = dg.DagsterInstance.get()
        if database is not None:
            keep_postgres_connections(instance)
        return instance


@contextmanager
def naming_home_trouble() -> Iterator[None]:
    """Turns errors of the databases in the home, or of its Postgres, into one sentence with advice.

    Raises:
        StorageFull: the disk of the home is full.
        ConfigInvalid: a database cannot be reached or written, or is damaged.
    """
    try:
        yield
    except OSError as error:
        # Dagster's logs of steps are there, and while a step runs so is standard error.
        if error.errno in STORAGE_FULL and _is_home_full():
            raise _home_full() from error
        raise
    except _kinds_of_database_error() as error:
        if why := explain_postgres_error(error):
            what = f"the Postgres database of the Dagster home cannot be used ({why})"
            remedy = "Correct that, then: badc home init; or choose another with --postgres URL"
            # What Postgres says holds no password; the error that is the cause may.
            raise ConfigInvalid(what, home_path(), remedy) from None
        raise _name_sqlite_trouble(error) from error


def _kinds_of_database_error() -> tuple[type[Exception], ...]:
    import sqlite3  # noqa: PLC0415

    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415  (with Dagster)

    return (DBAPIError, sqlite3.Error, *kinds_of_postgres_error())


def _name_sqlite_trouble(error: Exception) -> BadcError:
    why = str(getattr(error, "orig", error))
    # A full disk often is no more than an "I/O error" to the database.
    if "full" in why or _is_home_full():
        return _home_full()
    if "readonly" in why or "unable to open" in why:
        remedy = f"Make it writable, or set {_VARIABLE} to a local folder"
    elif "malformed" in why or "not a database" in why:
        remedy = f"Move the folder aside, or set {_VARIABLE} to a new one, then run again"
    else:
        remedy = f"Run again; if it stays, set {_VARIABLE} to a folder on a local disk"
    return ConfigInvalid(
        f"a database of the Dagster home cannot be used ({why})", home_path(), remedy
    )


def _is_home_full() -> bool:
    return shutil.disk_usage(home_path()).free < _NEEDED_BYTES


def _home_full() -> StorageFull:
    remedy = "Free some space, then run again"
    return StorageFull("no space left for runs and events", home_path(), remedy)


def _env_file_home() -> str:
    """Returns the home that `.env` in the current folder sets, as Dagster reads it."""
    if not Path(".env").is_file():
        return ""
    from dotenv import dotenv_values  # noqa: PLC0415  (only where there is such a file)

    return dotenv_values(".env").get(_VARIABLE) or ""


def _user_home() -> Path:
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Application Support" / "badc"
    data = os.environ.get("XDG_DATA_HOME", "")
    # The specification of XDG asks that relative paths be ignored.
    folder = Path(data) if data.startswith("/") else home_folder() / ".local" / "share"
    return folder / "badc"


@contextmanager
def _writing_home(home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, OutputUnwritable) as error:
        why = error.strerror if isinstance(error, OSError) else error.what
        what = f"the Dagster home cannot be used ({why})"
        raise ConfigInvalid(what, home, f"Set {_VARIABLE} to a folder you may write to") from error


def _require_no_run(home: Path) -> None:
    """Raises ConfigInvalid while a run is going on: it would write to the former storage still."""
    if runs := [one.stem for one in lock_folder().glob("*.lock") if is_locked(one)]:
        what = f"work is going on in the Dagster home (run {', run '.join(sorted(runs))})"
        raise ConfigInvalid(what, home, "Wait until it ends, or stop it; then try again")


def _initialise(home: Path) -> None:
    with locked(home / _LOCK):
        if (home / _MARK).exists():
            return
        import dagster as dg  # noqa: PLC0415  (two seconds)

        _remove_half_made(home)
        with dg.DagsterInstance.get() as instance:
            instance.get_runs_count()
            instance.get_dynamic_partitions("recordings")
            instance.all_instigator_state()
        (home / _MARK).touch()
        (home / _BEGUN).unlink(missing_ok=True)


def _remove_half_made(home: Path) -> None:
    """Removes databases that a killed process was making: Dagster would take them for whole."""
    begun, databases = home / _BEGUN, [home / one for one in _DATABASES]
    if begun.exists():
        for one in databases:
            remove_folder(one)
    elif not any(one.exists() for one in databases):
        begun.touch()


def main() -> int:
    """Initialises the home and prints where it is."""
    try:
        sys.stdout.write(f"{prepare_home()}\n")
    except BadcError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
