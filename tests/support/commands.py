"""The command `badc`: as a program of its own, and within the process of a test."""

import sys
from pathlib import Path

from typer import Typer
from typer.testing import CliRunner, Result

BADC = Path(sys.executable).with_name("badc")


def run_typed(app: Typer, *words: object, code: int = 0) -> Result:
    """Returns what came of a command typed here; errors that it would print are raised."""
    outcome = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert outcome.exit_code == code, outcome.output
    return outcome
