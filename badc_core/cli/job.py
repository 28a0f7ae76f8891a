"""`badc job`: what jobs there are, what one did, and its settings."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Annotated

import typer

from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_states import JOB_STATES, JobSummary, summarize
from badc_core.jobs.places import job_places
from badc_core.jobs.values import read_time

_N_LISTED = 20
_ROW = "{:<14} {:<12} {:<16} {:<10} {:<14} {}"


def build_job() -> typer.Typer:
    """Returns the group, to which others may add commands."""
    group = make_group("Look at jobs: who ran what, when, with which settings and result.")
    group.command("list")(list_jobs)
    return group


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
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = _N_LISTED,
) -> None:
    """List jobs, the newest first."""
    if status is not None and status not in JOB_STATES:
        raise typer.BadParameter(f"use one of {', '.join(JOB_STATES)}", param_hint="--status")
    finder = JobFinder(job_places())
    found = map(summarize, finder.jobs(user, day.date() if day else None))
    wanted = (one for one in found if status in {None, one.state})
    shown = islice(wanted, limit) if limit else wanted
    if out.as_json:
        out.give(list(shown))
    else:
        n_shown = _print_rows(out, shown)
        if not n_shown:
            out.say(f"No such jobs are in {finder.places.output_root}")
        elif limit and next(wanted, None):
            out.say(f"These are the newest {n_shown}. All of them: badc job list --limit 0")
    for folder, reason in finder.unreadable.items():
        out.warn(f"{folder} cannot be read ({reason}), so jobs may be missing here")


def _print_rows(out: Output, jobs: Iterable[JobSummary]) -> int:
    """Prints a line for each job as soon as it is found, and returns how many."""
    n_rows = 0
    for n_rows, one in enumerate(jobs, 1):
        if n_rows == 1:
            out.say(_ROW.format("Job", "User", "Created", "Status", "Stage", "Input"))
        cells = (one.job_id, one.user, _local_time(one.created_at), one.state, one.stage, one.input)
        out.say(_ROW.format(*map(_printable, cells)).rstrip())
    return n_rows


def _local_time(text: str | None) -> str:
    """Returns a moment on this machine's clock, for people."""
    return f"{read_time(text).astimezone():%Y-%m-%d %H:%M}" if text else ""


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
