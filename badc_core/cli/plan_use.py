"""What `badc chunk orchestrate` and `badc infer orchestrate` have in common: the use of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.output import Output
from badc_core.errors import OptionInvalid
from badc_core.options import OptionSpec
from badc_core.plan_files import Entry, write_plan_csv, write_plan_json
from badc_core.units import counted


@dataclass(frozen=True)
class PlanUse:
    """What to do with a plan."""

    apply: Annotated[bool, OptionSpec("Do it; else the plan is only shown.")] = False
    plan_csv: Annotated[Path | None, OptionSpec("Save the plan as CSV.")] = None
    plan_json: Annotated[Path | None, OptionSpec("Save the plan as JSON.")] = None
    print_datalad_run: Annotated[
        bool, OptionSpec("Print a datalad run command for each recording, and nothing else.")
    ] = False

    def require_one_use(self) -> None:
        """Raises OptionInvalid where commands are to be printed and run at once."""
        if self.apply and self.print_datalad_run:
            raise OptionInvalid("excludes --apply", "--print-datalad-run")

    def save(self, columns: Sequence[str], entries: Sequence[Entry], out: Output) -> None:
        """Writes the files that are asked for, and prints where they are."""
        if self.plan_csv is not None:
            write_plan_csv(self.plan_csv, columns, entries)
        if self.plan_json is not None:
            write_plan_json(self.plan_json, entries)
        for path in filter(None, (self.plan_csv, self.plan_json)):
            self.note(f"Plan: {path}", out)

    def note(self, line: str, out: Output) -> None:
        """Prints a remark; not between commands that a shell is to read."""
        if self.print_datalad_run:
            out.remark(line)
        else:
            out.say(line)


def conclude(n_recordings: int, n_failed: int, anew: str, out: Output) -> None:
    """Prints how a plan ended; ends with exit code 1 if anything failed.

    Args:
        n_recordings: of the plan.
        n_failed: of them.
        anew: the option by which everything was done anew, and would be again; empty for none.
        out: where to.
    """
    recordings = counted(n_recordings, "recording")
    if n_failed:
        line = f"{n_failed} of {recordings} failed; what is done is kept"
        how = f"Run again without {anew}" if anew else "Run again"
        out.fail(f"{line}. {how} to try just these.")
        raise typer.Exit(1)
    if n_recordings:
        out.say(f"{recordings} done.")
