"""Where the folders of runs are, who follows them, and how a run is ended."""

import json
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from badc_core.accounts import expand_home
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import WORK_FOLDER, prepare_work_file
from badc_core.errors import (
    BadcError,
    DatasetInvalid,
    RecordingBusy,
    SlurmRefused,
    SlurmSilent,
)
from badc_core.hashing import sha256_text
from badc_core.locks import remove_unlocked, try_lock_file, unlock
from badc_core.slurm.commands import Slurm
from badc_core.slurm.lines import add_lines
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_tasks import keep_tasks
from badc_core.stages.step_inputs import StepInputs
from badc_core.stages.work import Work

_FIRST_LOOK_S, _LOOK_S = 1.0, 5.0
_ENDING_S = 90.0
"""For cancelled tasks to end: Slurm kills them after its own KillWait, usually 30 s."""


def runs_folder(dataset: Dataset) -> Path:
    """Returns the folder that the folders of a dataset's runs are in."""
    folder, root = dataset.settings.slurm.folder, dataset.root.resolve()
    if folder:
        # Datasets of one name share no folder.
        return expand_home(folder).absolute() / f"{root.name}-{sha256_text(str(root))[:8]}"
    return root / WORK_FOLDER / "slurm"


def list_run_folders(dataset: Dataset) -> list[RunFolder]:
    """Returns the folders of runs that are not done, also those that settings no longer lead to."""
    given = Work(dataset.work_folder).given_to_tasks().values()
    paths = {Path(one) for one in given} | {
        one.parent for one in runs_folder(dataset).glob("*/tasks")
    }
    return [one for one in map(RunFolder, sorted(paths)) if not one.is_shrunk]


@contextmanager
def following(folder: RunFolder, work: Work) -> Iterator[bool]:
    """Keeps other processes of this machine from following a run; yields whether none does."""
    path = work.follower(str(folder.path))
    descriptor = try_lock_file(prepare_work_file(work.folder, path))
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            unlock(descriptor)
            remove_unlocked(path)


def other_host(folder: RunFolder, work: Work) -> str:
    """Returns the machine that follows a run where this one cannot see it; else empty.

    Its marks and locks are in a work folder of its own. Where both have one, anybody may go on.

    Args:
        folder: of the run.
        work: of the dataset, as this machine has it.
    """
    try:
        host = str(folder.read_about().get("host", ""))
    except DatasetInvalid:
        return ""
    is_ours = host == socket.gethostname() or str(folder.path) in work.given_to_tasks().values()
    return "" if is_ours else host


def is_same_work(folder: RunFolder, inputs: StepInputs) -> bool:
    """Returns whether a run does what a step would, for the recordings that both have."""
    wanted = {one.recording_id: one for one in inputs.recordings}
    try:
        folder.require_own_version()
        tasks = folder.read_tasks().values()
    except (BadcError, OSError, ValueError, TypeError, KeyError):
        return False
    return all(
        _content(task) == _content(inputs)
        and all(wanted.get(one.recording_id, one) == one for one in task.recordings)
        for task in tasks
    )


def recording_ids_of(folder: RunFolder) -> set[str]:
    """Returns the recordings of a run, whatever version made it."""
    found: set[str] = set()
    for path in (folder.path / "tasks").glob("*.json"):
        with suppress(FileNotFoundError):  # its last follower is removing them
            recordings = json.loads(path.read_text())["recordings"]
            found |= {one["recording_id"] for one in recordings}
    return found


def end_run(
    folder: RunFolder,
    slurm: Slurm,
    work: Work,
    say: Callable[[str], None],
    held: Collection[str] = (),
) -> None:
    """Cancels a run's jobs, waits until they have ended, and keeps what they found out.

    Only whose run it is can do that.

    Args:
        folder: of the run, that this process follows.
        slurm: the cluster.
        work: of the dataset.
        say: called with what a person should know.
        held: its recordings that this process keeps other runs away from.

    Raises:
        SlurmSilent, SlurmRefused: nobody knows whether they have ended; the run stays as it is.
    """
    _require_ours(folder, work)
    submissions = [one for one in folder.read_submissions() if not one.is_refused]
    for one in submissions:
        if not one.job:  # a job that sbatch still submits does nothing
            folder.claim(one.number)
    _end_jobs({one.name for one in submissions}, slurm, say)
    keep_tasks(folder, slurm)
    journals = folder.find_journals()
    for recording_id in recording_ids_of(folder):
        with suppress(RecordingBusy), ExitStack() as own:
            if recording_id not in held:
                own.enter_context(work.analysing(recording_id, takes_over_tasks=True))
            give_back(journals.get(recording_id, []), recording_id, work)
        work.take_from_task(recording_id, str(folder.path))
    folder.shrink()


def end_run_left_behind(
    folder: RunFolder, slurm: Slurm, work: Work, say: Callable[[str], None]
) -> None:
    """Ends a run that no process of this machine follows; takes and raises what `end_run` does."""
    _require_ours(folder, work)
    with following(folder, work) as is_free:
        if not is_free:
            what = "a badc run on this machine follows these jobs"
            raise SlurmRefused(what, folder.path, "To end it, press Ctrl-C there")
        end_run(folder, slurm, work, say)


def remove_marks_of_gone_runs(work: Work) -> None:
    """Removes the marks of recordings whose run has no folder any more."""
    given = work.given_to_tasks()
    for run in set(given.values()) - {""}:
        folder = RunFolder(Path(run))
        with following(folder, work) as is_free:
            # Whoever makes a run follows it, then marks its recordings, then makes the folder.
            if is_free and folder.is_shrunk:
                for one in given:
                    work.take_from_task(one, run)


def _require_ours(folder: RunFolder, work: Work) -> None:
    """Returns if this user may end a run from this machine; raises SlurmRefused otherwise."""
    if person := folder.other_person:
        what = f"these jobs are {person}'s, and only {person} can end them"
        raise SlurmRefused(what, folder.path, f"Ask {person} to run: badc slurm cancel DATASET")
    if host := other_host(folder, work):
        what = f"a run of {host} that this machine cannot see may follow these jobs"
        raise SlurmRefused(what, folder.path, f"On {host}, run: badc slurm cancel DATASET")


def end_runs_of_other_stages(inputs: StepInputs, say: Callable[[str], None]) -> None:
    """Ends what killed runs left on the cluster at work on recordings of a step that runs here.

    What the step writes is not what those tasks began with. Tasks of the step's own stage are left
    alone, as they do what it would. So are tasks that somebody follows, or that cannot be ended
    from here: their recordings stay busy.

    Args:
        inputs: of the step.
        say: called with what a person should know.
    """
    work = inputs.work
    for path in sorted({work.run_of(one) for one in inputs.recording_ids} - {""}):
        folder = RunFolder(Path(path))
        with following(folder, work) as is_free:
            if not is_free:
                continue
            if folder.is_shrunk:  # its host was killed before the folder was made
                for one in inputs.recording_ids:
                    work.take_from_task(one, path)
            elif not folder.other_person and _stage_of(folder) != inputs.stage:
                say(f"ending run {folder.path.name}, which nobody follows any more")
                try:
                    end_run(folder, Slurm(), work, say)
                except BadcError as error:
                    say(f"run {folder.path.name} stays on the cluster: {error}")


def _stage_of(folder: RunFolder) -> str:
    """Returns the stage of a run; empty if it was killed before it had written that down."""
    try:
        return str(folder.read_about().get("stage", ""))
    except DatasetInvalid:
        return ""


def give_back(journals: Iterable[Path], recording_id: str, work: Work) -> None:
    """Adds what tasks know of a recording's chunks to the host's journal.

    Args:
        journals: of the tasks.
        recording_id: which, that the host keeps others away from.
        work: of the host.
    """
    for path in journals:
        add_lines(path, prepare_work_file(work.folder, work.journal(recording_id)))


def _end_jobs(names: Collection[str], slurm: Slurm, say: Callable[[str], None]) -> None:
    """Cancels the jobs of some names and waits until they have ended; raises as `end_run`."""
    # Not by what was written down: ids may have been given to other jobs since.
    jobs = slurm.find_queued(names)
    slurm.cancel(jobs)
    until_s, n_looks = time.monotonic() + _ENDING_S, 0
    while jobs and (left := ", ".join(sorted(slurm.find_queued(names)))):
        if time.monotonic() > until_s:
            raise SlurmSilent(
                f"jobs {left} do not end",
                "",
                "To see them, run: squeue --me. When they have ended, run again",
            )
        if n_looks == 1:
            say(f"waiting for jobs {left} to end")
        time.sleep(_LOOK_S if n_looks else _FIRST_LOOK_S)
        n_looks += 1


def _content(inputs: StepInputs) -> str:
    """Returns what decides about a step's results, beside its recordings."""
    settings = inputs.settings.model_dump(mode="json", exclude={"slurm", "work", "datalad"})
    return json.dumps([str(inputs.root), inputs.stage, settings], sort_keys=True)
