"""`badc job run`: a pipeline of stages from a TOML file, for one file or folder."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.errors import OptionInvalid
from badc_core.file_names import absolute
from badc_core.interruptions import Interruptible
from badc_core.jobs import PipelineManifest
from badc_core.jobs.finding import JobFinder, require_writable
from badc_core.jobs.job_states import RUNS_RECORD, require_unpacked
from badc_core.jobs.manifest_files import MANIFEST, load_manifest
from badc_core.jobs.places import job_places, job_user, kept_jobs
from badc_core.pipelines.definition import Pipeline, read_pipeline
from badc_core.pipelines.pipeline_job import PipelineJob
from badc_core.pipelines.run import run_pipeline
from badc_core.pipelines.shipped import call_of, find_pipeline
from badc_core.units import counted

_INPUT = "INPUT"


@taking_options
def run_job(
    pipeline: Annotated[
        Path, typer.Argument(metavar="PIPELINE", help="The pipeline's TOML file, or media.")
    ],
    out: Output,
    file: Annotated[
        Path | None,
        typer.Argument(metavar=_INPUT, help="What to run it on; of a resumed job it is known."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Whose job it is; this account's if not set.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="JOB", help="Go on with this job instead of a new one.")
    ] = None,
) -> None:
    """Run a pipeline of stages; what is done and unchanged is kept.

    Exits with 1 if a stage failed that is not optional.
    """
    if resume is not None and user is not None:
        raise OptionInvalid("is known of a job that is resumed", "--user")
    if resume is None and file is None:
        raise OptionInvalid("is missing", _INPUT)
    if file is not None and not file.exists():
        raise OptionInvalid(f"there is no {file}", _INPUT)
    stages = read_pipeline(find_pipeline(pipeline))
    given = absolute(file) if file is not None else None
    run_stages(stages, _create(given, user) if resume is None else _find(resume, given), out)


def run_stages(pipeline: Pipeline, folder: Path, out: Output) -> None:
    """Runs what has to be run of a pipeline for a job.

    Args:
        pipeline: its stages.
        folder: of the job.
        out: shows how far it is, and prints the result.

    Raises:
        typer.Exit: a stage failed that is not optional.
    """
    job = PipelineJob.open(folder)
    out.say(f"Job {job.job_id}: {counted(len(pipeline.stages), 'stage')}, in {job.folder}")
    again = f"badc job run {shlex.quote(call_of(pipeline.path))} --resume {job.job_id}"
    Interruptible.how_to_go_on = f"to go on: {again}"
    end = run_pipeline(pipeline, job, out.say, out.fail)
    out.give(end)
    if end.has_failed:
        out.remark(f"To continue from there: {again}")
        raise typer.Exit(1)


def require_of_pipeline(folder: Path) -> None:
    """Requires a job that stages of a pipeline may still write into.

    Raises:
        OptionInvalid: it is one of a dataset.
        JobBusy: its files are in an archive.
        OutputUnwritable: it is somebody else's.
    """
    if (folder / RUNS_RECORD).exists():
        raise OptionInvalid(f"{folder.name} is a job of a dataset: badc job resume", "--resume")
    require_writable(folder)
    require_unpacked(folder)


def _create(given: Path | None, user: str | None) -> Path:
    """Returns the folder of a new job."""
    manager = job_places().manager()
    manager.create_job(user if user is not None else job_user())
    folder = manager.get_job_output_dir()
    PipelineManifest(folder / MANIFEST).set_input(str(given))
    return folder


def _find(job_id: str, given: Path | None) -> Path:
    """Returns the folder of a job; a job about nothing yet is about what was given.

    Raises:
        OptionInvalid: it is about something else, or is one of a dataset.
        JobBusy: its files are in an archive.
        JobUnknown: there is no such job.
    """
    folder = JobFinder(kept_jobs()).find(job_id).output_dir
    require_of_pipeline(folder)
    known = (load_manifest(folder) or {}).get("input", {}).get("file")
    if given is not None and known not in {None, str(given)}:
        raise OptionInvalid(f"the job {job_id} is about {known}", _INPUT)
    if given is not None and known is None:
        PipelineManifest(folder / MANIFEST).set_input(str(given))
    return folder
