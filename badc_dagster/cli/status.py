"""`badc status`: how far a dataset is, what failed and why, which runs died."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from badc_dagster.cli.notices import print_failures, warn_of_other_home


def status(
    dataset: Annotated[Path, typer.Argument(help="The dataset's folder.")],
) -> None:
    """Show what is done, due and failed; close runs whose process is gone."""
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home()
    console = Console()
    with Project.open_known(dataset) as project:
        report = project.status()
    table = Table(title=str(project.dataset.root), title_justify="left")
    for heading in ("Asset", "Up to date", "Due", "Failed"):
        table.add_column(heading, justify="left" if heading == "Asset" else "right")
    for row in report.rows:
        table.add_row(row.stage, str(row.current), str(row.due), str(row.failed))
    console.print(table)
    print_failures(report.failures, console)
    for run_id in report.closed_runs:
        console.print(f"Closed run {run_id}: its process is gone. Run again to go on.")
