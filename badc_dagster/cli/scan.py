"""`badc scan`: find recordings and make them partitions."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from badc_dagster.cli.notices import warn_of_other_home


def scan(
    dataset: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    name: Annotated[
        str | None, typer.Option(help="What to call it in the UI; by default its folder's name.")
    ] = None,
    prune: Annotated[
        bool, typer.Option(help="Forget recordings whose file is gone; results stay.")
    ] = False,
) -> None:
    """Look for new recordings and show them in the UI as partitions."""
    from badc_core.recordings.scan import find_unnameable  # noqa: PLC0415
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home()
    console = Console()
    with Project.open(dataset, name) as project:
        forgotten = project.prune() if prune else ()
        outcome = project.scan()
        unnameable = find_unnameable(project.dataset)
    for recording_id in forgotten:
        console.print(f"forgotten  {recording_id}", highlight=False, markup=False)
    for path in unnameable:
        line = f"left out  {path}  its name is not UTF-8: rename it, then scan again"
        console.print(line, style="red", soft_wrap=True, highlight=False, markup=False)
    left_out = f", {len(unnameable)} left out" if unnameable else ""
    console.print(
        f"{outcome.total} recordings in {project.dataset.root}: {len(outcome.added)} new, "
        f"{len(outcome.changed)} changed, {len(outcome.missing)} missing{left_out}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
