"""`badc job`: what jobs there are, what one did, its logs and settings."""

import sys
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Annotated

import typer

from badc_core.cli.groups import make_group
from badc_core.cli.job_files import JobId, archive, migrate, prepare
from badc_core.cli.job_pages import (
    describe_files,
    describe_job,
    explain_lack,
    local_time,
    printable,
    tables,
)
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output, to_json
from badc_core.errors import JobUnknown
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_details import read_details, read_settings, require_readable
from badc_core.jobs.job_logs import LogText, find_logs, follow_logs, read_log, stages_with_logs
from badc_core.jobs.job_states import JOB_STATES, JobSummary, has_ended, summarize
from badc_core.jobs.places import kept_jobs

_N_LISTED = 20
_ROW = "{:<14} {:<12} {:<16} {:<10} {:<14} {}"


@taking_options
def list_jobs(
    out: Output,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    status: Annotated[
        str | None, typer.Option(help=f"Only these: {', '.join(JOB_STATES)}.")
    ] = None,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only those of this day.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most this many; 0 for all.")] = _N_LISTED,
) -> None:
    """List jobs, the newest first."""
    if status is not None and status not in JOB_STATES:
        raise typer.BadParameter(f"use one of {', '.join(JOB_STATES)}", param_hint="--status")
    finder = JobFinder(kept_jobs())
    found = map(summarize, finder.jobs(user, day.date() if day else None))
    wanted = (one for one in found if status in {None, one.state})
    shown = islice(wanted, limit) if limit else wanted
    if out.as_json:
        _print_json(shown)
    else:
        n_shown = _print_rows(out, shown)
        if not n_shown:
            out.say(f"No such jobs are in {finder.places.output_root}")
        elif limit and next(wanted, None):
            out.say(f"These are the newest {n_shown}; all of them: --limit 0")
    for folder, reason in finder.unreadable.items():
        out.warn(f"{folder} cannot be read ({reason}), so jobs may be missing here")


@taking_options
def show(job: JobId, out: Output) -> None:
    """Show what a job did: stages, errors, outputs, files."""
    details = read_details(JobFinder(kept_jobs()).find(job))
    out.say(*describe_job(details))
    out.show(*tables(details))
    out.say(*describe_files(details))
    for stage in details.stages:
        for one in stage.warnings:
            out.warn(f"{stage.name}: {one}")
    out.give(details)


@taking_options
def config(job: JobId, out: Output) -> None:
    """Print the settings of a job, without secrets."""
    found = JobFinder(kept_jobs()).find(job)
    texts, hidden = read_settings(found)
    for name, text in texts.items():
        out.remark(f"{found.output_dir / name}")
        out.say(*text.splitlines())
    out.give({"job_id": found.job_id, "files": texts})
    if hidden:
        out.fail(hidden)
        raise typer.Exit(1)
    if not texts:
        out.remark(explain_lack(read_details(found), "settings"))


@taking_options
def logs(
    job: JobId,
    out: Output,
    stage: Annotated[
        str | None, typer.Argument(metavar="STAGE", help="Only of this stage.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
) -> None:
    """Print the logs of a job, and what is added to them."""
    found = JobFinder(kept_jobs()).find(job)
    require_readable(found)
    if follow and out.as_json:
        raise typer.BadParameter("is for people: leave out --json", param_hint="--follow")
    paths = find_logs(found.log_dir, stage)
    if stage is not None and not paths and (others := stages_with_logs(found.log_dir)):
        what, there_are = f"has no log of stage {stage}", f"There are: {', '.join(others)}"
        if not follow:
            raise JobUnknown(what, found.job_id, there_are)
        out.remark(f"Job {found.job_id} {what} yet. {there_are}")
    if follow:
        ended = partial(has_ended, found.output_dir)
        _print_logs(out, follow_logs(found.log_dir, stage, ended))
        out.remark(f"Job {found.job_id} has ended: badc job show {found.job_id}")
    elif out.as_json:
        texts = [(path, "".join(one.text for one in read_log(path))) for path in paths]
        given = [{"path": path, "text": text} for path, text in texts]
        out.give({"job_id": found.job_id, "logs": given})
    else:
        _print_logs(out, chain.from_iterable(map(read_log, paths)))
        if not paths:
            out.remark(explain_lack(read_details(found), "logs"))


def _print_logs(out: Output, pieces: Iterable[LogText]) -> None:
    """Prints pieces of logs as they are, and before each which log it is of, if that changes."""
    last: LogText | None = None
    for piece in pieces:
        if not out.is_for_people:
            continue
        if last is None or last.path != piece.path:
            if last is not None and not last.text.endswith("\n"):
                sys.stdout.write("\n")
            sys.stdout.flush()
            out.remark(f"==> {piece.path.name} <==")
        sys.stdout.write(piece.text)
        sys.stdout.flush()
        last = piece


def _print_json(jobs: Iterable[JobSummary]) -> None:
    """Prints a JSON list, each job as soon as it is found."""
    before = "["
    for one in jobs:
        sys.stdout.write(f"{before}{to_json(one)}")
        before = ",\n"
    print("[]" if before == "[" else "]")


def _print_rows(out: Output, jobs: Iterable[JobSummary]) -> int:
    """Prints a line for each job as soon as it is found, and returns how many."""
    n_rows = 0
    for n_rows, one in enumerate(jobs, 1):
        if n_rows == 1:
            out.say(_ROW.format("Job", "User", "Created", "Status", "Stage", "Input"))
        cells = (
            one.job_id,
            one.user,
            local_time(one.created_at)[:16],
            one.state,
            one.stage,
            one.input,
        )
        out.say(_ROW.format(*map(printable, cells)).rstrip())
    return n_rows


jobs = make_group("Look at jobs (who ran what, when, with which result); archive them.")
jobs.command("list")(list_jobs)
for _command in (show, logs, config, prepare, archive, migrate):
    jobs.command()(_command)
