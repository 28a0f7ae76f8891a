"""The `badc` command: its options, its error messages, and where its commands come from.

Commands that need only `badc_core` are imported here; others are added by the entry-point group
`badc.commands`, whose entries name a function, its signature being the command line.
"""

import sys
from importlib.metadata import entry_points, version

import typer
from rich.console import Console
from rich.markup import escape

from badc_core.cli.chunk import chunk
from badc_core.cli.gpus import gpus
from badc_core.cli.hawkears import hawkears
from badc_core.cli.infer import infer
from badc_core.cli.report import report
from badc_core.cli.signals import INTERRUPTED, Interruptible
from badc_core.cli.telemetry import telemetry
from badc_core.errors import BadcError

COMMANDS_GROUP = "badc.commands"


def build_app() -> typer.Typer:
    """Returns the application with every installed command."""
    app = typer.Typer(
        name="badc",
        help="Run bird-sound detectors over folders of field recordings.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.command("version")(show_version)
    app.command("report")(report)
    app.command("gpus")(gpus)
    app.command("telemetry")(telemetry)
    app.add_typer(chunk, name="chunk")
    app.add_typer(hawkears, name="hawkears")
    app.add_typer(infer, name="infer")
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda one: one.name):
        app.command(entry.name)(entry.load())
    return app


def show_version() -> None:
    """Print the version."""
    Console().print(f"badc {version('badc')}", highlight=False)


def main() -> None:
    """Runs the command line; our errors are one line and exit code 1."""
    with Interruptible() as interruptible:
        try:
            build_app()()
        except BadcError as error:
            line = f"[bold red]Error[/] {escape(str(error))}"
            Console(stderr=True).print(line, highlight=False, soft_wrap=True)
            sys.exit(1)
        except SystemExit as ending:
            if ending.code != INTERRUPTED:
                raise
            line = "Interrupted. What was finished is kept; run again to go on."
            Console(stderr=True).print(line, soft_wrap=True)
            sys.exit(interruptible.exit_code)
