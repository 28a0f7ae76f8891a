"""Groups of commands: plain help, and one line for each command that BADC no longer has.

Help is shown as it was written: in Typer's panels long names of options are cut at eighty columns.
"""

from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from badc_core.cli.replaced import find_replacement
from badc_core.validation import explain_value


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

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was typed; what cannot be used is explained as in a settings file.

        Typer has pydantic read what was typed, and would print its words.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = _explain_typed(error.__cause__)
            raise


def _explain_typed(error: ValidationError) -> str:
    found = error.errors()[0]
    if "does not match the formats" in found["msg"]:
        return f"{found['input']!r} is not a date such as 2024-05-31"
    return explain_value(found)


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
