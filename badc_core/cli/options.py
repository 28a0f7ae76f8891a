"""Command lines from options classes (`badc_core/options.py`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from badc_core.errors import OptionInvalid
from badc_core.options import OptionField, option_fields

_MANY = tuple[str, ...]
_EITHER = bool | None
"""Yes, no, or not given."""
_BY_NAME = "_by_name"
"""How the name of the option ends by which an argument may be given instead."""


def taking_options(function: Callable[..., None]) -> Callable[..., None]:
    """Returns a command that can be typed.

    Where the function takes an options class, the command takes that class's fields. Whatever
    cannot be used of what was typed ends the command with exit code 2, here or in Typer; all other
    failures end with 1, in `main.py` or where they are counted.
    """
    own = signature(function, eval_str=True).parameters
    grouped = {name: tuple(option_fields(one.annotation)) for name, one in own.items()}
    parameters: list[Parameter] = []
    for name, one in own.items():
        parameters += map(_parameter, grouped[name])
        parameters += [_also(field) for field in grouped[name] if field.spec.also]
        if not grouped[name]:
            parameters.append(one.replace(kind=Parameter.KEYWORD_ONLY))

    @wraps(function)
    def command(**typed: Any) -> None:
        with refusing_options():
            for name, options in grouped.items():
                if options:
                    given = {one.name: _value(one, _take(one, typed)) for one in options}
                    typed[name] = own[name].annotation(**given)
            function(**typed)

    vars(command)["__signature__"] = Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


@contextmanager
def refusing_options() -> Iterator[None]:
    """Makes of errors about what was typed those of Typer, with exit code 2."""
    try:
        yield
    except OptionInvalid as error:
        message = ". ".join(filter(None, (error.what, error.remedy)))
        raise typer.BadParameter(message, param_hint=error.where) from error


def _also(one: OptionField) -> Parameter:
    """Returns the option by which an argument may be given instead."""
    option = typer.Option(one.spec.also, help=f"{one.spec.metavar} by name.", show_default=False)
    kind: Any = one.kind | None
    name = f"{one.name}{_BY_NAME}"
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _take(one: OptionField, typed: dict[str, Any]) -> Any:
    """Returns what was typed for a field, as an argument or by its option.

    Raises:
        typer.BadParameter: both were given, or neither.
    """
    value = typed.pop(one.name)
    if not one.spec.also:
        return value
    by_name = typed.pop(f"{one.name}{_BY_NAME}")
    if (value is None) == (by_name is None):
        what = "is missing" if value is None else f"excludes {one.spec.also}"
        raise typer.BadParameter(what, param_hint=one.spec.metavar)
    return by_name if value is None else value


def _parameter(one: OptionField) -> Parameter:
    many = one.kind == _MANY
    is_optional = many or bool(one.spec.also)
    kind: Any = list[str] if many else one.kind
    kind = kind | None if is_optional else kind
    default = None if is_optional else Parameter.empty if one.is_required else one.default
    annotation: Any = Annotated[kind, _declare(one)]
    return Parameter(one.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _declare(one: OptionField) -> Any:
    spec = one.spec
    if spec.metavar:
        return typer.Argument(metavar=spec.metavar, help=spec.help)
    name = one.option
    if one.default is True or one.kind == _EITHER:
        name = f"{name}/{name.replace('--', '--no-', 1)}"
    return typer.Option(
        *filter(None, (name, spec.short)),
        help=spec.help,
        metavar="TEXT" if one.kind == _MANY else None,
        show_default=spec.default or True,
        min=spec.least,
        max=spec.most,
    )


def _value(one: OptionField, typed: Any) -> Any:
    return tuple(typed or ()) if one.kind == _MANY else typed
