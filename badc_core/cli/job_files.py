"""`badc job prepare`, `archive` and `migrate`: making jobs, and moving their files."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from badc_core.audio.clips import cut_clip, require_media
from badc_core.chunks.muting import require_unmuted
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.devices.inventory import find_gpus
from badc_core.jobs.archive import archive_job
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.migrating import Migrated
from badc_core.jobs.migrating import migrate as migrate_folder
from badc_core.jobs.old_layout import find_old_jobs
from badc_core.jobs.places import job_places, job_user, kept_jobs
from badc_core.jobs.preparing import Preparation, prepare_job
from badc_core.units import counted, format_bytes

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, such as 20261130-001.")]
_DEVICES = ("auto", "cpu", "cuda")
_TIME = re.compile(r"(?:(?:(?P<h>\d+):)?(?P<min>\d{1,2}):)?(?P<s>\d+(?:\.\d+)?)", re.ASCII)


@taking_options
def prepare(
    media: Annotated[Path, typer.Argument(metavar="MEDIA", help="A sound or video file.")],
    out: Output,
    start: Annotated[
        str | None, typer.Option(help="Where the part that counts begins: 90, 1:30 or 0:01:30.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Where it ends.")] = None,
    workflow: Annotated[
        str, typer.Option(help="What is to be done; WORKFLOW in the job's settings.")
    ] = "",
    device: Annotated[
        str, typer.Option(help=f"DEVICE in the settings: {', '.join(_DEVICES)}.")
    ] = "auto",
) -> None:
    """Create a job for a media file, or a part of it."""
    if device not in _DEVICES:
        raise typer.BadParameter(f"use one of {', '.join(_DEVICES)}", param_hint="--device")
    start_s, end_s = _seconds(start, "--start"), _seconds(end, "--end")
    if end_s is not None and end_s <= (start_s or 0):
        raise typer.BadParameter("must be after the beginning", param_hint="--end")
    if device == "auto":
        device = "cuda" if find_gpus().gpus else "cpu"
    wanted = Preparation(media, job_user(), start_s, end_s, workflow, device)
    is_part = start_s is not None or end_s is not None
    if is_part:
        require_unmuted(media)
    if media.is_file():
        require_media(media, start_s or 0.0, end_s)
    cut = partial(cut_clip, media, start_s=start_s or 0.0, end_s=end_s) if is_part else None
    job = prepare_job(job_places(), wanted, cut)
    out.say(
        f"Job {job['job_id']} is prepared, on {device}: {job['input']['file']}",
        f"Settings: {job['env_file']}",
    )
    out.give(job)


@taking_options
def archive(
    job: JobId,
    out: Output,
    delete: Annotated[
        bool, typer.Option("--delete", help="Read it back, then remove what is in it from the job.")
    ] = False,
) -> None:
    """Pack the files of a job into one with checksums."""
    places = kept_jobs()
    found = JobFinder(places).find(job)
    record = archive_job(places, found, remove=delete)
    size = format_bytes(record["size_bytes"])
    out.say(f"Archive of {counted(record['n_files'], 'file')}, {size}: {record['path']}")
    if delete:
        out.say(f"Its files are removed; what the job was: badc job show {found.job_id}")
    for one in record["left"]:
        out.warn(f"{one} is not in the archive, and stays")
    out.give(record)


@taking_options
def migrate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Has TITLE_YEAR folders in it, or is one.")
    ],
    out: Output,
    move: Annotated[
        bool, typer.Option("--move", help="Then remove there what is in the jobs as it was.")
    ] = False,
) -> None:
    """Make jobs of folders from before there were jobs."""
    places = job_places()
    folders, passed_over = find_old_jobs(folder)
    results: list[Migrated] = []
    for one in folders:
        done = migrate_folder(places, one, move=move)
        _print_migrated(out, done)
        results.append(done)
    for one in passed_over:
        out.warn(f"{one} has no year in its name and no manifest.json, and was passed over")
    out.give(results)
    if any(one.error for one in results):
        raise typer.Exit(1)


def _print_migrated(out: Output, done: Migrated) -> None:
    if done.error:
        out.fail(f"{done.source} was not migrated: {done.error}")
        return
    how = "is now job" if done.is_new else "was brought over before, as job"
    out.say(f"{done.source} {how} {done.job_id}: {done.output_dir}")
    for one in done.warnings:
        out.warn(one)
    for one in done.left:
        out.warn(f"{one} is not in the job as it is here, and stays")


def _seconds(text: str | None, option: str) -> float | None:
    """Returns a time in seconds; None if none was given."""
    if text is None:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise typer.BadParameter(
            f"not a time: {text!r}; use 90, 1:30 or 0:01:30", param_hint=option
        )
    return int(found["h"] or 0) * 3600 + int(found["min"] or 0) * 60 + float(found["s"])
