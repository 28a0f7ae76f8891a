"""The Dagster home: where it is, and making it ready once.

A fresh home that several processes use first at the same time is ruined for good (two heads in
its migration table, dagster#27390), so it is initialised alone, under a lock. The environment is
read here and nowhere else in this package. Run as `python -m badc_dagster.home`.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from badc_core.atomic import write_text
from badc_core.errors import BadcError, ConfigInvalid

if TYPE_CHECKING:
    from dagster import DagsterInstance

_MARK = ".initialised"
_PROJECT_HOME = Path(__file__).parent.parent / "dagster_home"


def home_path() -> Path:
    """Returns the Dagster home: `DAGSTER_HOME`, else the project's own `dagster_home/`."""
    given = os.environ.get("DAGSTER_HOME")
    if given:
        return Path(given).absolute()
    return _PROJECT_HOME


def foreign_home() -> Path | None:
    """Returns the home if it is not the project's own, which `make dev` shows."""
    home = home_path()
    return None if home == _PROJECT_HOME else home


def prepare_home() -> Path:
    """Returns the Dagster home, its storage initialised, and sets `DAGSTER_HOME` to it.

    Raises:
        ConfigInvalid: it cannot be written to.
    """
    home = home_path()
    try:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            write_text(config, (_PROJECT_HOME / "dagster.yaml").read_text(encoding="utf-8"))
        os.environ["DAGSTER_HOME"] = str(home)
        if not (home / _MARK).exists():
            _initialise(home)
    except OSError as error:
        raise ConfigInvalid(
            f"the Dagster home cannot be used ({error})", home, "Set DAGSTER_HOME to a local folder"
        ) from error
    return home


def open_instance() -> "DagsterInstance":
    """Returns the instance of the prepared home; the same that the UI shows."""
    import dagster as dg  # noqa: PLC0415  (two seconds)

    prepare_home()
    return dg.DagsterInstance.get()


def _initialise(home: Path) -> None:
    with (home / ".initialise.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / _MARK).exists():
            return
        import dagster as dg  # noqa: PLC0415  (two seconds)

        with dg.DagsterInstance.get() as instance:
            instance.get_runs_count()
            instance.get_dynamic_partitions("recordings")
            instance.all_instigator_state()
        (home / _MARK).touch()


def main() -> int:
    """Initialises the home and says where it is."""
    try:
        sys.stdout.write(f"{prepare_home()}\n")
    except BadcError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
