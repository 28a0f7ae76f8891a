"""Groups of commands: plain help, and one line for each command that BADC no longer has.

A command may be named by its place, to be imported when it is used: to import all takes a second.
Help is shown as it was written: in Typer's panels long names of options are cut at eighty columns.
"""

from collections import UserDict
from collections.abc import Iterable
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from badc_core.cli.replaced import find_replacement
from badc_core.validation import explain_value

CONTEXT_SETTINGS = "context_settings"
"""Attribute of a command's function: how Typer is to read what was typed, where not as usual."""


class _Commands(UserDict[str, Any]):
    """Commands by name; instead of one there may be a function that loads it when it is asked for.

    So whoever lists the names loads none.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a command, or the default; errors of its import are raised."""
        return self[key] if key in self.data else default

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if isinstance(found, partial):
            found = self.data[name] = found()
        return found


class CommandGroup(TyperGroup):
    """A group that knows what replaced the commands and options of the original BADC."""

    def __init__(self, *, commands: dict[str, Any] | None = None, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: _Commands = _Commands(commands or {})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (as Typer calls it)
        """Returns the commands as they were added, `version` last."""
        return sorted(self.commands, key=lambda name: name == "version")

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


def add_later(group: CommandGroup, entries: Iterable[EntryPoint]) -> None:
    """Adds commands and groups to a group, each of which is imported when it is used.

    Args:
        group: the group.
        entries: each names a function, its signature being the command line, or a group. An entry
            `data.connect` goes into the group `data`, if there is one.
    """
    found = {one.name: one for one in entries}
    inner: dict[str, list[EntryPoint]] = {name: [] for name in found}
    for name, entry in found.items():
        outer, _, rest = name.partition(".")
        if rest and outer in inner:
            inner[outer].append(EntryPoint(rest, entry.value, entry.group))
            del inner[name]
    for name, inside in inner.items():
        group.commands[name] = partial(_load, found[name], inside)


def _load(entry: EntryPoint, inner: Iterable[EntryPoint]) -> Any:
    loaded, around = entry.load(), make_group("")
    if isinstance(loaded, typer.Typer):
        around.add_typer(loaded, name=entry.name)
    else:
        settings = vars(loaded).get(CONTEXT_SETTINGS)
        around.command(entry.name, context_settings=settings)(loaded)
    command = typer.main.get_group(around).commands[entry.name]
    if isinstance(command, CommandGroup):
        add_later(command, inner)
    return command
