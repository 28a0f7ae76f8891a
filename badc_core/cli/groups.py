"""Groups of commands: plain help, and one line for each command that BADC no longer has.

Help is shown as it was written: in Typer's panels long names of options are cut at eighty columns.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from badc_core.cli.replaced import find_replacement


class CommandGroup(TyperGroup):
    """A group that knows what replaced the commands and options of the original BADC."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the commands as they were added, `version` last."""
        return sorted(super().list_commands(ctx), key=lambda name: name == "version")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns the command that was typed; a replaced one ends with exit code 2."""
        replacement = find_replacement(ctx.command_path.split()[1:], args)
        if replacement and not ctx.resilient_parsing:
            typer.echo(replacement, err=True)
            raise typer.Exit(2)
        return super().resolve_command(ctx, args)


def make_group(text: str, kind: type[CommandGroup] = CommandGroup) -> typer.Typer:
    """Returns a group without commands yet.

    Args:
        text: its help.
        kind: how it finds the command that was typed.
    """
    return typer.Typer(
        help=text,
        cls=kind,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
