"""`badc slurm`: what work on a cluster will take, and what is there of it now."""

import shlex
from collections.abc import Sequence
from typing import Annotated

import typer

from badc_core.cli.dataset_argument import DatasetFolder
from badc_core.cli.groups import make_group
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output
from badc_core.cli.setting_options import SettingOptions
from badc_core.cli.tables import EndOf, make_table
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ProgramMissing, RecordingUnknown, SlurmRefused, SlurmSilent
from badc_core.inference.recording_run import STAGE
from badc_core.recordings.registry import read_registry
from badc_core.settings import SETTINGS_FILE
from badc_core.slurm.commands import Slurm, Tasks
from badc_core.slurm.overview import list_runs
from badc_core.slurm.plan import Estimate, Workload, estimate, explain_lack_of_room, read_workload
from badc_core.slurm.run_folders import (
    end_run_left_behind,
    list_run_folders,
    remove_marks_of_gone_runs,
)
from badc_core.slurm.speeds import SpeedSource
from badc_core.slurm.task_logs import TaskLog, find_logs, list_logs
from badc_core.stages.work import Work
from badc_core.units import counted, format_bytes, format_duration

_SOURCES: dict[SpeedSource, str] = {
    "measured": "measured",
    "short tasks": "measured on short tasks",
    "assumed": "assumed",
}
_NO_LOG = "has printed nothing"
_UNSURE: dict[SpeedSource, str] = {
    "short tasks": "all tasks so far took less than a minute: the speed is a rough measurement",
    "assumed": "no task has analysed recordings of this dataset yet: the speed is an assumption",
}


@taking_options
def plan(
    dataset: DatasetFolder,
    options: SettingOptions,
    out: Output,
    recordings: Annotated[
        int | None, typer.Option(min=1, help="How many recordings. Default: those left to do.")
    ] = None,
    audio_hours: Annotated[
        float | None,
        typer.Option(min=0.0, help="How much sound they have. Default: what is known of them."),
    ] = None,
) -> None:
    """Estimate tasks, hours, files and bytes before anything is submitted.

    Speed and files are measured on what this dataset's tasks have done, so let it run over some
    recordings first: badc run --slurm --limit 20 DATASET
    """
    options.settings(dataset / SETTINGS_FILE)  # which refuses an option by its name
    opened = Dataset.open(dataset, options.overrides())
    typed = shlex.quote(str(dataset))
    wanted = read_workload(opened, STAGE, recordings, audio_hours)
    found = estimate(wanted, opened.settings.slurm, STAGE)
    if wanted.recordings:
        out.show(make_table("On the cluster", ("What", "How much"), _plan_rows(wanted, found)))
    elif not wanted.unscanned:
        out.say("No recordings are left to analyse.")
    if wanted.submitted:
        are = "is" if wanted.submitted == 1 else "are"
        out.say(f"{wanted.submitted} of them {are} on the cluster now: badc slurm status {typed}")
    if wanted.unscanned:
        n_files = counted(wanted.unscanned, "audio file")
        out.warn(f"{n_files} not scanned yet, and left out of this plan; type: badc scan {typed}")
    for one in explain_lack_of_room(found, opened.root):
        out.warn(f"not enough room: {one}")
    if wanted.recordings and (why := _UNSURE.get(wanted.speed_source)):
        out.warn(f"{why}. To measure it: badc run --slurm --limit 20 {typed}")
    out.give({"workload": wanted, "estimate": found})


@taking_options
def status(dataset: DatasetFolder, out: Output) -> None:
    """Show runs on the cluster that are not done: their recordings, and tasks in the queue."""
    typed = shlex.quote(str(dataset))
    runs = list_runs(Dataset.open(dataset), Slurm())
    rows = [(one.name, one.jobs, one.recordings, one.failed, one.left, one.states) for one in runs]
    if rows:
        columns = ("Run", "Jobs", "Recordings", "Failed", "Left", "Tasks in the queue")
        out.show(make_table("Runs that are not done", columns, rows))
        for one in runs:
            if one.is_left:
                finishing = f"To finish it: badc run --slurm {typed}"
                ending = f"To end it: badc slurm cancel {typed}"
                out.say(f"No badc follows run {one.name}. {finishing}. {ending}")
        out.say(f"What each task has printed: badc slurm logs {typed}")
    else:
        begun = f"once they have begun, badc slurm logs {typed}"
        out.say(f"No run is on the cluster. Tasks of array scripts: squeue --me, and {begun}")
    out.give(runs)


@taking_options
def logs(
    dataset: DatasetFolder,
    out: Output,
    recording: Annotated[
        str | None,
        typer.Argument(
            metavar="RECORDING",
            help="Its name, or its path: print the log of the task that had it last.",
        ),
    ] = None,
) -> None:
    """List the tasks of all runs and array scripts, or print the log of a recording's task."""
    opened, slurm = Dataset.open(dataset), Slurm()
    found = list_logs(opened, slurm, _read_queue(slurm, out))
    if recording is not None:
        own = find_logs(found, recording)
        if not own:  # tasks may know recordings that no scan has seen yet
            recording = read_registry(opened.registry).require(recording).recording_id
            own = find_logs(found, recording)
        _print_log(own, recording, out)
        return
    rows = [
        (one.run, one.job, one.state, _counts(one), EndOf(one.shown_log or "nothing"))
        for one in found
    ]
    if rows:
        out.show(make_table("Tasks", ("Run", "Job", "State", "Recordings", "Log"), rows))
    else:
        out.say("No task was submitted yet.")
    out.give(found)


@taking_options
def cancel(dataset: DatasetFolder, out: Output) -> None:
    """End all work of a dataset on the cluster that no `badc` is following.

    What its tasks have done is kept. Runs of other people, or of other login nodes, are named.
    """
    opened = Dataset.open(dataset)
    cluster, work = Slurm(), Work(opened.work_folder)
    ended, left = [], {}
    for folder in list_run_folders(opened):
        try:
            end_run_left_behind(folder, cluster, work, out.remark)
            ended.append(folder.path.name)
        except (SlurmRefused, SlurmSilent) as error:
            left[folder.path.name] = str(error)
    remove_marks_of_gone_runs(work)
    for why in left.values():
        out.fail(f"not ended: {why}")
    out.say(f"{counted(len(ended), 'run')} ended" + (f", {len(left)} not" if left else ""))
    if not ended and not left:
        out.say("To end the job of an array script, run: scancel JOB")
    out.give({"ended": ended, "left": left})
    if left:
        raise typer.Exit(1)


def _counts(log: TaskLog) -> str:
    failed = f", {len(log.failed)} failed" if log.failed else ""
    return f"{len(log.recording_ids) or '?'}{failed}"


def _read_queue(slurm: Slurm, out: Output) -> Tasks | None:
    """Returns the queue; None, after a warning, where it cannot be read: logs are files."""
    try:
        return slurm.read_queue()
    except (ProgramMissing, SlurmRefused, SlurmSilent) as error:
        out.warn(f"the queue cannot be read, so states may be old: {error}")
        return None


def _print_log(found: Sequence[TaskLog], recording: str, out: Output) -> None:
    """Prints the newest of some logs."""
    if not found:
        what = "no task on the cluster has worked on this recording, as far as is known"
        raise RecordingUnknown(what, recording, "All tasks: badc slurm logs DATASET")
    last, *earlier = found
    try:
        text, why = last.log.read_text(encoding="utf-8", errors="replace"), _NO_LOG
    except FileNotFoundError:
        text, why = "", _NO_LOG
    except OSError as error:
        text, why = "", str(error)
    if text:
        out.remark(f"Job {last.job} ({last.state}): {last.log}")
        out.say(*text.splitlines())
    else:
        out.say(f"Job {last.job} ({last.state}): {why}.")
    for one in earlier:
        out.remark(f"Earlier: job {one.job} ({one.state}): {one.shown_log or _NO_LOG}")
    out.give({"tasks": found, "text": text})


def _plan_rows(work: Workload, found: Estimate) -> list[tuple[str, str]]:
    return [
        ("Recordings", str(work.recordings)),
        ("Sound", _hours(work.audio_h)),
        ("Speed of a task", f"{work.speed:g} x real time, {_SOURCES[work.speed_source]}"),
        ("Tasks", f"{found.tasks}, {found.at_once} at a time"),
        ("Time of all tasks", _hours(found.task_h)),
        ("Time of all GPUs", _hours(found.gpu_h)),
        ("Time without queueing", _hours(found.wall_h)),
        ("Files and folders", str(found.files)),
        ("Size of these", format_bytes(found.size_bytes)),
    ]


def _hours(hours: float) -> str:
    return format_duration(hours * 3600)


slurm = make_group("Plan and follow work on a Slurm cluster. It begins with: badc run --slurm")
for _command in (plan, status, logs, cancel):
    slurm.command()(_command)
