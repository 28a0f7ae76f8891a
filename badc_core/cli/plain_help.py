"""Help as plain text, for commands with many options.

In Typer's panels long names of options are cut at eighty columns, and brackets are markup.
"""

from typing import Any

from typer.core import TyperCommand


class PlainHelp(TyperCommand):
    """A command whose help is shown as it was written, with every option's full name."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "rich_markup_mode": None})
