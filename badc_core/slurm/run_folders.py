"""Where the folders of runs are, who follows them, and how a run is ended."""

import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import WORK_FOLDER, prepare_work_file
from badc_core.errors import BadcError, RecordingBusy, SlurmRefused, SlurmSilent
from badc_core.hashing import sha256_text
from badc_core.locks import remove_unlocked, try_lock_file, unlock
from badc_core.slurm.commands import Slurm
from badc_core.slurm.run_folder import RunFolder
from badc_core.stages.step_inputs import StepInputs
from badc_core.stages.work import Work

_LOOK_S = 1.0
_ENDING_S = 90.0
"""For cancelled tasks to end: Slurm kills them after its own KillWait, usually 30 s."""


def runs_folder(dataset: Dataset) -> Path:
    """Returns the folder that the folders of a dataset's runs are in."""
    folder, root = dataset.settings.slurm.folder, dataset.root.resolve()
    if folder:
        # Datasets of one name share no folder.
        return Path(folder).expanduser().absolute() / f"{root.name}-{sha256_text(str(root))[:8]}"
    return root / WORK_FOLDER / "slurm"


def list_folders(dataset: Dataset) -> list[RunFolder]:
    """Returns the folders of runs that are not done, also those that settings no longer lead to."""
    given = Work(dataset.work_folder).given_to_tasks().values()
    paths = {Path(one) for one in given} | {
        one.parent for one in runs_folder(dataset).glob("*/tasks")
    }
    return [one for one in map(RunFolder, sorted(paths)) if not one.is_shrunk]


@contextmanager
def following(folder: RunFolder, work: Work) -> Iterator[bool]:
    """Keeps other processes of this machine from following a run; yields whether none does."""
    path = work.folder / "followed" / folder.path.name
    descriptor = try_lock_file(prepare_work_file(work.folder, path))
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            unlock(descriptor)
            remove_unlocked(path)


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
    if person := folder.other_person:
        what = f"these jobs are {person}'s, and only {person} can end them"
        raise SlurmRefused(what, folder.path, f"Ask {person} to type: badc slurm cancel DATASET")
    submissions = [one for one in folder.read_submissions() if not one.is_refused]
    jobs = {one.job for one in submissions if one.job}
    jobs |= {folder.owner_of(one.number) for one in submissions} - {""}
    if submissions:
        known = slurm.find_jobs({one.name for one in submissions})
        jobs |= {job for found in known.values() for job in found}
    slurm.cancel(jobs)
    until_s = time.monotonic() + _ENDING_S
    while jobs and (left := jobs & {one.partition("_")[0] for one in slurm.read_queue()}):
        if time.monotonic() > until_s:
            what = f"jobs {', '.join(sorted(left))} do not end"
            raise SlurmSilent(what, folder.path, "See: squeue --me; then run again")
        if until_s - time.monotonic() < _ENDING_S - 2 * _LOOK_S:
            say(f"waiting for jobs {', '.join(sorted(left))} to end")
        time.sleep(_LOOK_S)
    for one in recording_ids_of(folder):
        with suppress(RecordingBusy), ExitStack() as own:
            if one not in held:
                own.enter_context(work.analysing(one, takes_over_tasks=True))
            folder.give_back_journal(one, work)
        work.take_from_task(one, str(folder.path))
    folder.shrink()


def _content(inputs: StepInputs) -> str:
    """Returns what decides about a step's results, beside its recordings."""
    settings = inputs.settings.model_dump(mode="json", exclude={"slurm", "work", "datalad"})
    return json.dumps([str(inputs.root), inputs.stage, settings], sort_keys=True)
