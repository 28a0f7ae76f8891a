"""`badc scan`: find recordings and make them partitions."""

from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import (
    RecordingsFolder,
    is_dataset,
    make_dataset,
    no_dataset_yet,
)
from badc_core.cli.disabled_datalad import read_disabled_datalad
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.errors import ContentMissing
from badc_core.units import counted
from badc_dagster.cli.notices import show_unused, warn_of_other_home


@taking_options
def scan(
    dataset: RecordingsFolder,
    out: Output,
    name: Annotated[
        str | None, typer.Option(help="What to call it in the UI; by default its folder's name.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget recordings whose file is gone; results stay.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Only show how this recording's place and time are read."
        ),
    ] = None,
) -> None:
    """Look for new recordings and add them to the asset graph."""
    from badc_core.recordings.explain import count_kinds, doubt_stations, read_paths  # noqa: PLC0415
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    if explain is not None:
        _explain(dataset, explain, out)
        return
    dataset = make_dataset(dataset)
    warn_of_other_home(out)
    with Project.open(dataset, name, read_disabled_datalad()) as project:
        forgotten = project.prune() if prune else ()
        outcome = project.scan(out.remark, out.warn)
        listing = project.listing
        readings = read_paths(project.dataset, outcome.paths_here)
        doubts = doubt_stations(project.dataset, readings)
    unnameable = sorted(listing.unnameable)
    out.say(*(f"forgotten  {recording_id}" for recording_id in forgotten))
    for path in unnameable:
        out.fail(f"left out  {path}  its name is not UTF-8: rename it, then scan again")
    out.say(*count_kinds(readings))
    renamed = f"{len(outcome.renamed)} renamed, " if outcome.renamed else ""
    left_out = f", {len(unnameable)} left out" if unnameable else ""
    out.say(
        f"{counted(outcome.total, 'recording')} in {project.dataset.root}: {len(outcome.added)} "
        f"new, {renamed}{len(outcome.changed)} changed, {len(outcome.missing)} missing{left_out}"
    )
    for doubt in doubts:
        out.warn(doubt)
    show_unused(out, listing, outcome, project.dataset.root)
    out.give(
        {
            "dataset": project.dataset.root,
            "recordings": outcome.total,
            "new": outcome.added,
            "changed": outcome.changed,
            "renamed": outcome.renamed,
            "missing": outcome.missing,
            "forgotten": forgotten,
            "left_out": unnameable,
            "warnings": doubts,
            "unusable": sorted([*listing.unusable, *listing.closed]),
            "passed_over": dict(sorted(listing.passed_over.items())),
        }
    )
    if not outcome.total and not forgotten:
        raise typer.Exit(1)


def _explain(folder: Path, file: Path, out: Output) -> None:
    from badc_core.datasets.dataset import Dataset  # noqa: PLC0415
    from badc_core.recordings.explain import explain_file  # noqa: PLC0415

    if not is_dataset(folder):
        raise no_dataset_yet(folder)
    dataset = Dataset.open(folder)
    found = next((one for one in (file, dataset.root / file) if one.is_file()), None)
    if found is None or not found.absolute().is_relative_to(dataset.root):
        raise ContentMissing("no such file in the dataset", file, "Give its path in the dataset")
    lines = explain_file(dataset, dataset.below(found.absolute()))
    out.say(*lines)
    out.give(lines)
