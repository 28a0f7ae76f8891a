"""What runs a dataset has on the cluster, from their files and one look at the queue."""

from collections import Counter
from dataclasses import dataclass

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.locks import is_locked
from badc_core.slurm.commands import Slurm
from badc_core.slurm.reasons import describe_states
from badc_core.slurm.run_folders import list_run_folders, other_host
from badc_core.slurm.run_tasks import read_events
from badc_core.stages.work import Work


@dataclass(frozen=True)
class RunView:
    """A run that is not done.

    Attributes:
        name: of its folder.
        jobs: ids of its arrays, with spaces between.
        recordings: in all tasks.
        failed: of these, as far as tasks say.
        left: of these, that no task is done with.
        states: how many tasks are in which state in the queue, and why they wait, for people; of
            another person's run, whose it is.
        is_left: whether it is the user's, and no `badc` of this machine follows it.
    """

    name: str
    jobs: str
    recordings: int
    failed: int
    left: int
    states: str
    is_left: bool = False


def list_runs(dataset: Dataset, slurm: Slurm) -> list[RunView]:
    """Returns a dataset's runs that are not done.

    Raises:
        SlurmSilent: the controller does not answer.
        ProgramMissing: this machine has no Slurm.
    """
    folders, work = list_run_folders(dataset), Work(dataset.work_folder)
    marks = Counter(work.given_to_tasks().values())
    queue = slurm.read_queue() if folders else {}
    found = []
    for folder in folders:
        if person := folder.other_person:
            n_given = marks[str(folder.path)]
            found.append(RunView(folder.path.name, "", n_given, 0, n_given, f"{person}'s"))
            continue
        try:
            tasks = folder.read_tasks()
            said = read_events(folder).values()
        except (BadcError, OSError, ValueError, KeyError, TypeError):
            continue  # being made, or removed
        done = {one for job in said for one in job.was_good}
        good = {one for job in said for one, is_good in job.was_good.items() if is_good}
        wanted = {one for task in tasks.values() for one in task.recording_ids}
        jobs = [one.job for one in folder.read_submissions() if one.job]
        own = [state for job, state in queue.items() if job.split("_")[0] in jobs]
        found.append(
            RunView(
                folder.path.name,
                " ".join(jobs),
                len(wanted),
                len(done - good),
                len(wanted - done),
                describe_states(own) or "none",
                not other_host(folder, work) and not is_locked(work.follower(str(folder.path))),
            )
        )
    return found
