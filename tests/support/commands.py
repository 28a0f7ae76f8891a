"""The command `badc`: as a program of its own, and within the process of a test."""

import io
import sys
from pathlib import Path

from rich.console import Console
from typer import Typer
from typer.testing import CliRunner, Result

from badc_core.cli.output import Output

BADC = Path(sys.executable).with_name("badc")


class RecordedOutput(Output):
    """An output of a given width whose text is kept."""

    def __init__(self, width: int = 100) -> None:
        super().__init__()
        self.__dict__["file"] = io.StringIO()
        self.__dict__["width"] = width

    @property
    def console(self) -> Console:
        return Console(width=self.width, file=self.file, highlight=False)

    @property
    def text(self) -> str:
        return self.file.getvalue()


def run_typed(app: Typer, *words: object, code: int = 0) -> Result:
    """Returns the result of a command typed here; errors that it would print are raised."""
    outcome = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert outcome.exit_code == code, outcome.output
    return outcome
