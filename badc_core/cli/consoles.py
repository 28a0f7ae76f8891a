"""Where commands print tables and lines of any length."""

import sys

from rich.console import Console

_REDIRECTED_COLUMNS = 400


def wide_console() -> Console:
    """Returns a console that folds nothing where the output goes into a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else _REDIRECTED_COLUMNS, highlight=False)
