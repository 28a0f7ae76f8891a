"""`badc scan`: find recordings and make them partitions."""

from typing import Annotated

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.wording import counted
from badc_dagster.cli.notices import warn_of_other_home


@taking_options
def scan(
    dataset: DatasetFolder,
    out: Output,
    name: Annotated[
        str | None, typer.Option(help="What to call it in the UI; by default its folder's name.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget recordings whose file is gone; results stay.")
    ] = False,
) -> None:
    """Look for new recordings and add them to the asset graph."""
    from badc_core.recordings.scan import find_unnameable  # noqa: PLC0415
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    with Project.open(dataset, name) as project:
        forgotten = project.prune() if prune else ()
        outcome = project.scan()
        unnameable = find_unnameable(project.dataset)
    out.say(*(f"forgotten  {recording_id}" for recording_id in forgotten))
    for path in unnameable:
        out.fail(f"left out  {path}  its name is not UTF-8: rename it, then scan again")
    left_out = f", {len(unnameable)} left out" if unnameable else ""
    out.say(
        f"{counted(outcome.total, 'recording')} in {project.dataset.root}: {len(outcome.added)} "
        f"new, {len(outcome.changed)} changed, {len(outcome.missing)} missing{left_out}"
    )
    out.give(
        {
            "dataset": project.dataset.root,
            "recordings": outcome.total,
            "new": outcome.added,
            "changed": outcome.changed,
            "missing": outcome.missing,
            "forgotten": forgotten,
            "left_out": unnameable,
        }
    )
