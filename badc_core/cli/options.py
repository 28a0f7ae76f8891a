"""Command lines made from options classes (`badc_core/options.py`), and made into words again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from badc_core.cli.detector_options import OptionInvalid
from badc_core.options import OptionField, option_fields

_MANY = tuple[str, ...]


def taking_options(function: Callable[..., None]) -> Callable[..., None]:
    """Returns a command that can be typed.

    Where the function takes an options class, the command takes that class's fields.
    """
    own = signature(function, eval_str=True).parameters
    grouped = {name: tuple(option_fields(one.annotation)) for name, one in own.items()}
    parameters: list[Parameter] = []
    for name, one in own.items():
        parameters += map(_parameter, grouped[name])
        if not grouped[name]:
            parameters.append(one.replace(kind=Parameter.KEYWORD_ONLY))

    @wraps(function)
    def command(**typed: Any) -> None:
        for name, options in grouped.items():
            if options:
                given = {one.name: _value(one, typed.pop(one.name)) for one in options}
                typed[name] = own[name].annotation(**given)
        function(**typed)

    vars(command)["__signature__"] = Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


@contextmanager
def refusing_options() -> Iterator[None]:
    """Ends the command with exit code 2 where the block finds an option that cannot be used."""
    try:
        yield
    except OptionInvalid as error:
        raise typer.BadParameter(error.what, param_hint=error.where) from error


def to_argv(options: Any, kind: type) -> list[str]:
    """Returns what has to be typed for options that are not as they are by themselves.

    Args:
        options: as they were given.
        kind: their class, or one it is made from, whose options count.
    """
    words: list[str] = []
    for one in option_fields(kind):
        value = getattr(options, one.name)
        if value == one.default or one.asked.metavar:
            continue
        if isinstance(value, bool):
            words.append(one.option if value else one.option.replace("--", "--no-", 1))
        else:
            for each in value if isinstance(value, tuple) else (value,):
                words += [one.option, str(each)]
    return words


def _parameter(one: OptionField) -> Parameter:
    many = one.kind == _MANY
    kind: Any = list[str] | None if many else one.kind
    default = Parameter.empty if one.is_required else None if many else one.default
    annotation: Any = Annotated[kind, _asked(one)]
    return Parameter(one.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _asked(one: OptionField) -> Any:
    asked = one.asked
    if asked.metavar:
        return typer.Argument(metavar=asked.metavar, help=asked.help)
    name = one.option
    if one.default is True:
        name = f"{name}/{name.replace('--', '--no-', 1)}"
    return typer.Option(
        name,
        help=asked.help,
        show_default=asked.default or True,
        min=asked.least,
        max=asked.most,
    )


def _value(one: OptionField, typed: Any) -> Any:
    return tuple(typed or ()) if one.kind == _MANY else typed
