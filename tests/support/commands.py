"""The command `badc`: as a process of its own, and within the process of a test."""

import io
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner, Result

from badc_core.cli.main import main
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


def run_badc(*words: object, folder: Path, code: int = 0) -> CompletedProcess[str]:
    """Returns exit code and output of `badc` typed in a folder, without starting a process."""
    typed = ["badc", *map(str, words)]
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setattr(sys, "argv", typed)
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ending:
            main()
    done = CompletedProcess(typed, ending.value.code or 0, output.getvalue(), errors.getvalue())
    assert done.returncode == code, done.stdout + done.stderr
    return done
