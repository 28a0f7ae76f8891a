"""How the commands of `badc job` word what is known of a job."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from badc_core.cli.tables import EndOf, make_table
from badc_core.jobs.job_details import JobDetails, OutputDetails, StageDetails
from badc_core.jobs.job_states import RUNS_TABLE
from badc_core.jobs.values import read_time
from badc_core.units import counted, format_bytes, format_duration

_MOST_OUTPUTS, _MOST_RUNS = 20, 5


def local_time(text: Any) -> str:
    """Returns a moment on this machine's clock, for people; nothing if it is not known."""
    return f"{read_time(text).astimezone():%Y-%m-%d %H:%M:%S}" if text else ""


def printable(text: Any) -> str:
    """Returns a text on one line, without what a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in str(text))


def describe_job(job: JobDetails) -> Iterator[str]:
    """Yields lines about a job, before its tables."""
    created_by = job.info.get("created_by") or {}
    account = f" by {created_by.get('account')} on {created_by.get('host')}" if created_by else ""
    yield f"Job {job.job_id} of {job.user}: {job.state}"
    yield f"  created {local_time(job.info.get('created_at')) or 'at an unknown time'}{account}"
    if job.timing.get("completed_at"):
        took = job.timing.get("total_seconds")
        after = f", after {format_duration(took)}" if isinstance(took, int | float) else ""
        yield f"  ended   {local_time(job.timing['completed_at'])}{after}"
    about = [job.input.get(name) for name in ("title", "year", "file")]
    if any(about):
        yield f"  input   {printable(', '.join(str(one) for one in about if one))}"
    yield from _describe_start(job)
    for one in job.errors:
        yield f"  error: {printable(one)}"


def _describe_start(job: JobDetails) -> Iterator[str]:
    if job.prepared:
        yield f"  prepared for {printable(_describe_prepared(job.prepared))}"
    if job.pipeline:
        yield f"  pipeline {printable(job.pipeline)}"
    for name in ("started_by", "command"):
        if name in job.started_by:
            yield f"  {name.replace('_', ' ')} {printable(job.started_by[name])}"
    for one in job.attempts[1:]:
        who = printable(f"{one.get('account')} on {one.get('host')}")
        yield f"  resumed by {who}, {local_time(one.get('started_at'))}"


def _describe_prepared(settings: dict[str, str]) -> str:
    start, end = settings.get("CLIP_START_S"), settings.get("CLIP_END_S")
    part = f" from {start or 0} s to {f'{end} s' if end else 'its end'}" if start or end else ""
    rest = [settings.get(name) for name in ("WORKFLOW", "DEVICE")]
    return ", ".join([settings["INPUT_FILE"] + part, *filter(None, rest)])


def tables(job: JobDetails) -> Iterator[RenderableType]:
    """Yields tables of stages and outputs."""
    if job.stages:
        columns = ("Stage", "Status", "Began", "Took", "Attempt", "By", "Why")
        yield make_table("Stages", columns, map(_stage_row, job.stages))
    if job.outputs:
        columns_of_outputs = ("Stage", "Output", "Size", "Path")
        rows = map(_output_row, job.outputs[:_MOST_OUTPUTS])
        yield make_table("Outputs", columns_of_outputs, rows)


def describe_files(job: JobDetails) -> Iterator[str]:
    """Yields lines about where the files of a job are."""
    if len(job.outputs) > _MOST_OUTPUTS:
        n_more = len(job.outputs) - _MOST_OUTPUTS
        yield f"and {n_more} more outputs: badc job show {job.job_id} --json"
    if job.archive:
        yield from _describe_archive(job.archive)
    if job.state != "archived":
        yield f"Files: {job.output_dir}"
        yield f"Logs: {job.log_dir}"
        for path in job.settings:
            yield f"Settings: {path}"
    for run in job.runs[-_MOST_RUNS:]:
        yield f"In the web interface: {printable(run['url'])}"
    if len(job.runs) > _MOST_RUNS:
        n_earlier = counted(len(job.runs) - _MOST_RUNS, "earlier run")
        yield f"and {n_earlier}: {job.output_dir / RUNS_TABLE}"


def explain_lack(job: JobDetails, what: str) -> str:
    """Returns where something is that a job does not have in its folders."""
    if job.archive and job.state == "archived":
        return f"The {what} of job {job.job_id} are in {job.archive.get('path')}"
    pages = [one["url"] for one in job.runs]
    seen = f"; what its runs print is in the web interface, such as {pages[-1]}" if pages else ""
    return f"Job {job.job_id} keeps no {what}{seen}"


def _describe_archive(archive: dict[str, Any]) -> Iterator[str]:
    path = Path(str(archive.get("path")))
    missing = "" if path.exists() else ", which is not there any more"
    yield f"Archive: {path}{missing}"
    n_files, size = archive.get("n_files"), archive.get("size_bytes")
    if isinstance(n_files, int) and isinstance(size, int):
        yield f"  {counted(n_files, 'file')}, {format_bytes(size)}, sha256 {archive.get('sha256')}"
    if archive.get("removed_at"):
        yield f"  files removed here on {local_time(archive['removed_at'])}"


def _stage_row(stage: StageDetails) -> tuple[Any, ...]:
    took = stage.duration_seconds
    return (
        stage.name,
        stage.status or "",
        local_time(stage.started_at),
        format_duration(took) if isinstance(took, int | float) else "",
        str(stage.attempt or ""),
        printable(stage.ran_by.get("account", "")) if isinstance(stage.ran_by, dict) else "",
        printable(stage.error),
    )


def _output_row(output: OutputDetails) -> tuple[Any, ...]:
    size = format_bytes(output.size_bytes)
    if output.n_files is not None:
        size = f"{counted(output.n_files, 'file')}, {size}"
    since = f" ({output.since} since)" if output.since else ""
    path = EndOf(f"{output.path}{since if output.exists else ' (gone)'}")
    return output.stage, printable(output.key), size, path
