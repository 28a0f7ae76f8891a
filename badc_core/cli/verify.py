"""`badc verify`: whether a dataset's files are still as they were written."""

import shlex
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.datasets.dataset import Dataset
from badc_core.integrity.findings import AUDIO, Report
from badc_core.integrity.verifying import verify_dataset
from badc_core.units import counted


@taking_options
def verify(
    dataset: DatasetFolder,
    out: Output,
    recordings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REC]...", help="Only these recording_ids; else all."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Also read every byte of the recordings themselves.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look; mark nothing as failed and due.")
    ] = False,
) -> None:
    """Check that all files are as they were written.

    Exits with 1 if one is damaged or gone.
    """
    opened = Dataset.open(dataset)
    report = verify_dataset(opened, recordings or (), in_full=full, mark=not dry_run)
    for one in report.findings:
        out.fail(f"{one.path}: {one.what}")
    for path in report.changed:
        out.warn(f"{path}: was changed since BADC wrote it, and is left as it is.")
    out.say(*_summarise(report))
    out.give({"dataset": opened.root, **vars(report)})
    if not report.findings:
        return
    if any(one.stage == AUDIO for one in report.findings):
        forget = f"badc scan --prune {shlex.quote(str(dataset))}"
        out.remark(
            "Recordings: restore them from a copy; their results stay as they are. "
            f"To forget those that are gone: {forget}"
        )
    if any(one.stage != AUDIO for one in report.findings):
        when = "" if dry_run else ", which makes only these files again"
        again = "verify" if dry_run else "run"
        out.remark(f"Run: badc {again} {shlex.quote(str(dataset))}{when}")
    raise typer.Exit(1)


def _summarise(report: Report) -> list[str]:
    files, recordings = counted(report.n_files, "file"), counted(report.n_recordings, "recording")
    lines = [f"{files} of {recordings} compared, {len(report.findings)} damaged or gone"]
    if report.n_elsewhere:
        n_elsewhere = counted(report.n_elsewhere, "file")
        lines.append(f"{n_elsewhere} not on this machine: to compare them, get them first")
    if report.n_unknown:
        outputs = counted(report.n_unknown, "output")
        lines.append(f"{outputs} of badc chunk or badc infer, without a checksum: not compared")
    return lines
