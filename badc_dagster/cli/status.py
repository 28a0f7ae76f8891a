"""`badc status`: how far a dataset is, what failed and why, which runs died. It writes nothing."""

import shlex

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.run_output import warn_of_stub
from badc_core.cli.tables import make_table
from badc_core.stages.work import Work
from badc_core.units import counted
from badc_dagster.cli.notices import report_failures, warn_of_missing, warn_of_other_home


@taking_options
def status(dataset: DatasetFolder, out: Output) -> None:
    """Show what is done, due, failed and missing.

    Exits with 1 where recordings, exports or runs failed, or the settings cannot be used.
    """
    from badc_dagster.runs import Project  # noqa: PLC0415  (two seconds)

    warn_of_other_home(out)
    with Project.open_known(dataset) as project:
        report = project.status()
    warn_of_stub(project.dataset.settings.detector, out)
    if report.trouble:
        out.fail(f"Cannot tell what is due: {report.trouble}")
    else:
        rows = [(row.stage, row.current, row.due, row.failed) for row in report.rows]
        columns = ("Asset", "Up to date", "Due", "Failed")
        out.show(make_table(str(project.dataset.root), columns, rows))
    if report.missing:
        n_missing = len(report.missing)
        out.say(f"{counted(report.total, 'recording')}, {n_missing} of them missing: never due")
    warn_of_missing(out, report.missing, report.total, project.dataset.root)
    typed = shlex.quote(str(dataset))
    if n_given := len(Work(project.dataset.work_folder).given_to_tasks()):
        out.say(f"{counted(n_given, 'recording')} on the cluster: badc slurm status {typed}")
    report_failures(report.failures, out)
    for one in report.failed_assets:
        out.fail(one)
    for run_id in report.dead_runs:
        out.fail(f"Run {run_id} was killed: its process is gone. Run again to continue.")
    for run_id, why in report.failed_runs.items():
        what = f"Run {run_id} failed, and some of its recordings are still due"
        out.fail(f"{what}: {why}" if why else f"{what}.")
    out.give({"dataset": project.dataset.root, **vars(report)})
    failed = report.failures or report.failed_assets
    if report.trouble or failed or report.dead_runs or report.failed_runs:
        raise typer.Exit(1)
