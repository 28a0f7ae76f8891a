"""`badc data connect` and `disconnect`: which datasets the asset graph shows."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.datasets.connections import Connection, read_known
from badc_core.datasets.original_list import read_listed
from badc_core.datasets.targets import DATASETS_FOLDER, find_target, require_known
from badc_core.options import OptionSpec
from badc_core.provenance.repository_state import read_state
from badc_core.units import counted, format_bytes
from badc_dagster.cli.notices import warn_of_other_home, warn_of_unverified
from badc_dagster.home import home_path, original_list_path
from badc_dagster.web_interface import reload_web_interface

_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Of a dataset; or its folder, such as ./archive.")
]
_PARENT_HELP = f"Folder that datasets are in. Default: where it is, else {DATASETS_FOLDER}."
_PLANNED = {"cloned": "cloned", "updated": "brought up to date", "exists": "left as it is"}


@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """How `badc data connect` gets a dataset here."""

    path: Annotated[
        Path | None,
        OptionSpec(_PARENT_HELP),
    ] = None
    url: Annotated[
        str, OptionSpec("Where to clone it from, if it is not here and that is not known.")
    ] = ""
    method: Annotated[
        Literal["git", "datalad"] | None,
        OptionSpec("How to clone. Default: datalad where it is installed, else git."),
    ] = None
    pull: Annotated[bool, OptionSpec("Bring a clone that is here up to date.")] = True
    main: Annotated[bool, OptionSpec("Make it the main dataset, which has no prefix.")] = False
    dry_run: Annotated[bool, OptionSpec("Only say what would be done.")] = False


@taking_options
def connect(name: _Name, options: ConnectOptions, out: Output) -> None:
    """Clone a dataset, or bring it up to date, and add it to the asset graph."""
    from badc_dagster import connecting  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    known, listed = read_known(home_path()), read_listed(original_list_path())
    target = find_target(name, options.path, options.url, known, listed)
    plan = connecting.make_plan(target, options.method, options.pull)
    connecting.require_place(known, target, options.main)
    if options.dry_run:
        source = f" from {target.url}" if plan.status == "cloned" else ""
        out.say(f"{target.root} would be {_PLANNED[plan.status]}{source}, and connected")
        out.give({"root": target.root, "status": plan.status, "method": plan.method})
        return
    if plan.status == "cloned":
        out.remark(f"Cloning {target.url} with {plan.method} ...")
    out.say(connecting.carry_out(plan))
    connection = connecting.enter(plan, options.main)
    _show_place(connection, out)
    if not connecting.has_recordings_folder(connection.root):
        out.warn(f"{connection.root}: no folder with recordings in it yet")
    warn_of_unverified(out, connection.root, read_state(connection.root))
    _show_change(out)
    out.say(f"Next: badc run {shlex.quote(str(connection.root))}")
    out.give({**_describe(connection), "status": plan.status})


@taking_options
def disconnect(
    name: _Name,
    out: Output,
    drop_content: Annotated[
        bool,
        typer.Option(
            "--drop-content/--keep-content",
            help="Also drop annexed contents that are elsewhere often enough (numcopies).",
        ),
    ] = False,
    path: Annotated[Path | None, typer.Option(help=_PARENT_HELP)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Take a dataset out of the asset graph; its folder and results stay."""
    from badc_dagster import connecting  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    known, listed = read_known(home_path()), read_listed(original_list_path())
    connection = require_known(name, find_target(name, path, "", known, listed), known)
    here_bytes = _size_here(connection) if drop_content else None
    if dry_run:
        drops = f", and up to {format_bytes(here_bytes)} dropped" if here_bytes is not None else ""
        out.say(f"{connection.name} would be disconnected{drops}; {connection.root} stays")
        out.give({**_describe(connection), "here_bytes": here_bytes})
        return
    n_kept = 0
    if here_bytes is not None and connection.root.exists():
        n_files, kept = connecting.drop_contents(connection.root)
        n_kept = len(kept)
        before_bytes, here_bytes = here_bytes, _size_here(connection)
        n_dropped = counted(n_files - n_kept, "file")
        out.say(f"Dropped {format_bytes(before_bytes - here_bytes)} of {n_dropped}")
        if kept:
            file, why = next(iter(kept.items()))
            out.warn(f"{counted(n_kept, 'file')} kept, such as {file}: {why}")
    connecting.leave(connection)
    out.say(f"{connection.name} is disconnected; its files stay in {connection.root}")
    _show_change(out)
    out.give({**_describe(connection), "here_bytes": here_bytes, "kept": n_kept})


def _size_here(connection: Connection) -> int:
    """Returns the size of the annexed contents that are here."""
    state = read_state(connection.root) if connection.root.exists() else None
    return state.contents.here_bytes if state else 0


def _show_place(connection: Connection, out: Output) -> None:
    prefix = "no prefix" if connection.is_main else f"the prefix {connection.name}"
    main = ", the main dataset" if connection.is_main else ""
    out.say(f"Connected as {connection.name}{main}; its assets have {prefix}")


def _show_change(out: Output) -> None:
    """Has an open web interface show the change, or says how to."""
    if reload_web_interface(home_path()):
        out.say("The open web interface shows it.")
    else:
        out.say("In an open web interface press Deployment, then Reload definitions.")


def _describe(connection: Connection) -> dict[str, object]:
    origin = connection.origin
    return {
        "name": connection.name,
        "root": connection.root,
        "main": connection.is_main,
        "url": origin.url if origin else "",
        "method": origin.method if origin else "",
    }
