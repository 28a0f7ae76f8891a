"""The application: every command, the everyday ones first.

Commands that need only `badc_core` are imported here; others are added by the entry-point group
`badc.commands`, whose entries name a function, its signature being the command line, or a group. An
entry `data.connect` is `badc data connect`, and `slurm.collect` is `badc slurm collect`.
"""

from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer

from badc_core.cli.chunk import chunk
from badc_core.cli.export import export
from badc_core.cli.gpus import gpus
from badc_core.cli.groups import CommandGroup, make_group
from badc_core.cli.hawkears import hawkears
from badc_core.cli.infer import infer
from badc_core.cli.job import build_job
from badc_core.cli.job_run import run_job
from badc_core.cli.lineage import export_crate, lineage
from badc_core.cli.redo import redo
from badc_core.cli.reports import reports
from badc_core.cli.review import review
from badc_core.cli.slurm import build_slurm
from badc_core.cli.species import species
from badc_core.cli.telemetry import telemetry
from badc_core.cli.verify import verify

COMMANDS_GROUP = "badc.commands"
_EVERYDAY = ("scan", "run", "status", "report")


class _Everything(CommandGroup):
    """All commands: those of every day first."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the commands in the order of the help."""
        names = super().list_commands(ctx)
        everyday = [one for one in _EVERYDAY if one in names]
        return [*everyday, *(one for one in names if one not in everyday)]


def build_app() -> typer.Typer:
    """Returns the application with every installed command."""
    app = make_group("Run bird-sound detectors over folders of field recordings.", _Everything)
    app.info.name = "badc"
    app.callback()(_root)
    data = make_group("Connect and clone datasets. See where they and their results are from.")
    data.command("lineage")(lineage)
    data.command("export-crate")(export_crate)
    groups = {"data": data, "slurm": build_slurm(), "job": build_job()}
    groups["job"].command("run")(run_job)
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda one: one.name):
        command = entry.load()
        group, _, name = entry.name.rpartition(".")
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        elif group in groups:
            groups[group].command(name)(command)
        else:
            app.command(entry.name)(command)
    app.command("export")(export)
    app.command("gpus")(gpus)
    app.command("telemetry")(telemetry)
    app.command("verify")(verify)
    # Without this -114 would be an unknown option.
    app.command("species", context_settings={"ignore_unknown_options": True})(species)
    app.add_typer(groups["data"], name="data")
    app.add_typer(reports, name="report")
    app.add_typer(review, name="review")
    app.add_typer(infer, name="infer")
    app.add_typer(chunk, name="chunk")
    app.add_typer(hawkears, name="hawkears")
    app.add_typer(groups["slurm"], name="slurm")
    app.add_typer(groups["job"], name="job")
    app.command("redo")(redo)
    app.command("version")(show_version)
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
