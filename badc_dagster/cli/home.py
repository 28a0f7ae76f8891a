"""`badc home init`: prepare the Dagster home, and say where it keeps runs and events."""

from dataclasses import dataclass
from typing import Annotated

from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.options import OptionSpec
from badc_dagster.cli.notices import warn_of_other_home

home = make_group("Prepare the Dagster home, where runs, events and partition keys are kept.")


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """Where runs and events are to be kept."""

    postgres: Annotated[
        str,
        OptionSpec(
            "Keep them in this database instead of SQLite files: "
            "postgresql://USER@HOST:5432/DATABASE. Its password belongs in ~/.pgpass."
        ),
    ] = ""


@home.command()
@taking_options
def init(options: InitOptions, out: Output) -> None:
    """Prepare the Dagster home, with SQLite files or a Postgres database."""
    from badc_dagster.home import name_storage, prepare_home, use_postgres  # noqa: PLC0415

    warn_of_other_home(out)
    has_earlier_runs = bool(options.postgres) and use_postgres(options.postgres)
    folder, storage = prepare_home(), name_storage()
    out.say(f"Dagster home {folder}: runs and events are in {storage}")
    if has_earlier_runs:
        out.say(
            "Earlier runs stay in the SQLite files. Run badc run on each dataset: what is finished "
            "is taken over, not made again. Restart the web interface and the daemon, if they run"
        )
    out.give({"home": folder, "storage": storage})
