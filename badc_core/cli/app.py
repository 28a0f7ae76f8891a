"""The application: every command, the everyday ones first, each imported when it is used.

Commands that need only `badc_core` are named here; others are added by the entry-point group
`badc.commands`, whose entries name a function, its signature being the command line, or a group. An
entry `data.connect` is `badc data connect`, and `slurm.collect` is `badc slurm collect`.
"""

from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer

from badc_core.cli.groups import CommandGroup, add_later, make_group

COMMANDS_GROUP = "badc.commands"
_EVERYDAY = ("scan", "run", "status", "report")
_CLI = "badc_core.cli"
_COMMANDS = {
    "export": f"{_CLI}.export:export",
    "gpus": f"{_CLI}.gpus:gpus",
    "telemetry": f"{_CLI}.telemetry:telemetry",
    "verify": f"{_CLI}.verify:verify",
    "species": f"{_CLI}.species:species",
    "redo": f"{_CLI}.redo:redo",
    "version": f"{_CLI}.app:show_version",
    "data.lineage": f"{_CLI}.lineage:lineage",
    "data.export-crate": f"{_CLI}.lineage:export_crate",
    "job.run": f"{_CLI}.job_run:run_job",
}
_GROUPS = {
    "data": f"{_CLI}.app:data",
    "report": f"{_CLI}.reports:reports",
    "review": f"{_CLI}.review:review",
    "infer": f"{_CLI}.infer:infer",
    "chunk": f"{_CLI}.chunk:chunk",
    "hawkears": f"{_CLI}.hawkears:hawkears",
    "slurm": f"{_CLI}.slurm:slurm",
    "job": f"{_CLI}.job:jobs",
}
data = make_group("Connect and clone datasets. See where they and their results are from.")


class _Everything(CommandGroup):
    """All commands: those of every day first."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        others = sorted(entry_points(group=COMMANDS_GROUP), key=lambda one: one.name)
        # Of two with a name the later counts: no other package replaces a command of BADC's own.
        add_later(self, [*others, *_entries(_COMMANDS), *_entries(_GROUPS)])

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the commands in the order of the help."""
        names = super().list_commands(ctx)
        everyday = [one for one in _EVERYDAY if one in names]
        return [*everyday, *(one for one in names if one not in everyday)]


def _entries(places: dict[str, str]) -> list[EntryPoint]:
    return [EntryPoint(name, place, COMMANDS_GROUP) for name, place in places.items()]


def build_app() -> typer.Typer:
    """Returns the application with every installed command."""
    app = make_group("Run bird-sound detectors over folders of field recordings.", _Everything)
    app.info.name = "badc"
    app.callback()(_root)
    return app


def show_version() -> None:
    """Print the version."""
    typer.echo(f"badc {version('badc')}")


def _show_version_and_end(is_asked: bool) -> None:
    if is_asked:
        show_version()
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version_and_end, help="Print the version."
        ),
    ] = False,
) -> None:
    """Run bird-sound detectors over folders of field recordings."""
