"""Options of commands, told once: a dataclass whose fields say how somebody asks for them.

The command line is made from such classes in `cli/options.py`, the keys of a TOML file in
`cli/run_config.py`. What an option means for BADC is said where the class is.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class OptionSpec:
    """How a field is asked for.

    Attributes:
        help: a sentence.
        default: what holds where it is not given, in words; empty for the field's own default.
        option: its name on the command line; empty for the field's.
        metavar: what stands for the value of an argument; empty for an option.
        key: section and key in a TOML file; empty for the field's name in the first section.
        least, most: limits of a number.
    """

    help: str
    default: str = ""
    option: str = ""
    metavar: str = ""
    key: str = ""
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class OptionField:
    """A field that somebody may give.

    Attributes:
        name: of the field.
        kind: its type.
        default: its default; `MISSING` where it must be given.
        asked: how it is asked for.
    """

    name: str
    kind: Any
    default: Any
    asked: OptionSpec

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return self.asked.option or f"--{self.name.replace('_', '-')}"


def option_fields(options: type) -> Iterator[OptionField]:
    """Yields those fields of a dataclass that somebody may give, in order; of other types none."""
    if not is_dataclass(options):
        return
    hints = get_type_hints(options, include_extras=True)
    for one in fields(options):
        if get_origin(hints[one.name]) is Annotated:
            kind, *extras = get_args(hints[one.name])
            for asked in extras:
                if isinstance(asked, OptionSpec):
                    yield OptionField(one.name, kind, one.default, asked)
