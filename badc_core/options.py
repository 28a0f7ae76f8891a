"""Options of commands: a dataclass whose fields say how the user gives them.

`cli/options.py` reads command lines into such classes, `cli/run_config.py` the keys of a TOML file.
What an option means is written where the class is.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class OptionSpec:
    """How the user gives a field.

    Attributes:
        help: a sentence.
        default: what holds where it is not given, in words; empty for the field's own default.
        option: its name on the command line; empty for the field's.
        short: a second, short name there.
        metavar: the name of an argument in help; empty for an option.
        also: option by which the argument may be given instead; empty for none.
        key: section and key in a TOML file; empty for the field's name in the first section.
        setting: the setting of badc.toml that it is another name of; empty for none.
        least, most: limits of a number.
    """

    help: str
    default: str = ""
    option: str = ""
    short: str = ""
    metavar: str = ""
    also: str = ""
    key: str = ""
    setting: str = ""
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class OptionField:
    """A field that the user may give.

    Attributes:
        name: of the field.
        kind: its type.
        default: its default; `MISSING` where it must be given.
        spec: how it is given.
    """

    name: str
    kind: Any
    default: Any
    spec: OptionSpec

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return self.spec.option or f"--{self.name.replace('_', '-')}"


def option_fields(options: type) -> Iterator[OptionField]:
    """Yields the fields of a dataclass that the user may give, in order; of other types none."""
    if not is_dataclass(options):
        return
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        if get_origin(hints[field.name]) is Annotated:
            kind, *extras = get_args(hints[field.name])
            for spec in extras:
                if isinstance(spec, OptionSpec):
                    yield OptionField(field.name, kind, field.default, spec)


def to_argv(options: Any, kind: type) -> list[str]:
    """Returns what has to be typed for options that differ from their defaults.

    Args:
        options: as they were given.
        kind: their class, or one that it inherits, whose options count.
    """
    words: list[str] = []
    for one in option_fields(kind):
        value = getattr(options, one.name)
        if value == one.default or one.spec.metavar:
            continue
        if isinstance(value, bool):
            words.append(one.option if value else one.option.replace("--", "--no-", 1))
        else:
            for each in value if isinstance(value, tuple) else (value,):
                words += [one.option, str(each)]
    return words
