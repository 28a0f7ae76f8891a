"""`badc job resume`: what of a job is missing or damaged, once more."""

from dataclasses import replace
from typing import Annotated

import typer

from badc_core.cli.job_run import require_of_pipeline, run_stages
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.progress import ShownProgress
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_states import require_unpacked
from badc_core.jobs.places import kept_jobs
from badc_core.pipelines.resuming import pipeline_of
from badc_core.units import counted
from badc_dagster.cli.run import show_outcome


@taking_options
def resume(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, such as 20261130-001.")],
    out: Output,
) -> None:
    """Compare what a job wrote with its record, and do what is missing or damaged.

    Exits with 1 if something failed, or is left.
    """
    folder = JobFinder(kept_jobs()).find(job).output_dir
    require_unpacked(folder)
    if pipeline := pipeline_of(folder):
        require_of_pipeline(folder)
        run_stages(pipeline, folder, out)
        return
    from badc_dagster.resuming import open_job, resume_job  # noqa: PLC0415  (two seconds)

    found = open_job(folder)
    with ShownProgress(out) as shown:
        resumed = resume_job(found, shown.stage, out.remark, out.warn)
    for stage, n_kept in resumed.kept.items():
        n_done = resumed.done_again.get(stage, 0)
        left = f", {n} left" if (n := resumed.left[stage]) else ""
        out.say(f"{stage}: {counted(n_kept, 'recording')} kept, {n_done} done{left}")
    for stage in resumed.done_again:
        if stage not in resumed.kept:
            out.say(f"{stage}: made again")
    is_left = any(resumed.left.values())
    for outcome in resumed.outcomes.values():
        show_outcome(replace(outcome, nothing_to_do=outcome.nothing_to_do and not is_left), out)
    out.say(f"Job {resumed.job_id}: {resumed.status}{', some of it is left' if is_left else ''}")
    out.give(resumed)
    if resumed.status != "completed" or is_left:
        raise typer.Exit(1)
