"""The folder through which a step's host and the nodes that work for it exchange files.

```
run.json                      what the step is: stage, dataset, version
tasks/<task>.json             the inputs of a task
task.sh                       what a task runs
submissions.jsonl             an array that is about to be submitted, then its job id
submissions/<number>.txt      the tasks of an array, in the order of their indices
submissions/<number>.owner    the job that works on it: of two with one number, one does nothing;
                              or the host, so that none does
events/<task>.<start>.jsonl   what a start of a task has to tell, line by line
work/<task>/<start>/          its journals, which the next start goes on from
released/<recording>          one that the host has given up, and that no task may work on
logs/<job>.out                what it printed
```

Nodes and host may see a file late, and its last line half. So a line counts once its end is there,
and nothing is ever written into a file that another start or the host writes.
"""

import json
import os
import socket
import stat
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from badc_core.accounts import owner_name
from badc_core.atomic import naming_storage_trouble, remove_folder, write_text
from badc_core.errors import ConfigInvalid, DatasetInvalid
from badc_core.json_texts import parse_object
from badc_core.slurm.lines import add_lines, append_line
from badc_core.stages.step_inputs import StepInputs
from badc_core.stages.work import Work
from badc_core.telemetry.log import Tail

HOST = "host"


@dataclass(frozen=True)
class Submission:
    """An array that was submitted, or was about to be.

    Attributes:
        number: of the run's submissions, from 0.
        name: of its job, which no other has.
        tasks: in the order of their indices.
        at_s: when, on the wall clock.
        job: its id; empty as long as nobody knows it.
        is_refused: whether Slurm said that there are too many jobs.
    """

    number: int
    name: str
    tasks: tuple[int, ...]
    at_s: float
    job: str = ""
    is_refused: bool = False


class RunFolder:
    """The folder of one step's run.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def script(self) -> Path:
        """What every task runs."""
        return self.path / "task.sh"

    def create(self, inputs: StepInputs, tasks: Sequence[Sequence[str]]) -> None:
        """Makes the folder and the inputs of its tasks.

        Args:
            inputs: of the step.
            tasks: the recordings of each.

        Raises:
            StorageFull, OutputUnwritable: it cannot be written.
        """
        with naming_storage_trouble(self.path):
            self.path.mkdir(parents=True, mode=0o700)
            for name in ("tasks", "submissions", "events", "work", "released", "logs"):
                (self.path / name).mkdir()
        about = {"version": version("badc"), "host": socket.gethostname(), "stage": inputs.stage}
        write_text(self.path / "run.json", json.dumps({**about, "root": str(inputs.root)}) + "\n")
        by_id = {one.recording_id: one for one in inputs.recordings}
        for number, ids in enumerate(tasks):
            own = replace(inputs, recordings=tuple(by_id[one] for one in ids))
            write_text(self._task(number), own.to_json())
            host = Work(self.work_folder(number, HOST))
            for one in ids:
                add_lines(inputs.work.journal(one), host.journal(one))

    def read_about(self) -> dict[str, Any]:
        """Returns what the run is about.

        Raises:
            DatasetInvalid: it is no folder of a run.
        """
        path = self.path / "run.json"
        try:
            return parse_object(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DatasetInvalid(f"no folder of a run ({error})", path, "Run again") from error

    def require_own_version(self) -> None:
        """Returns if this BADC made the folder.

        Raises:
            ConfigInvalid: another version did.
        """
        made_by = self.read_about().get("version")
        if made_by != version("badc"):
            raise ConfigInvalid(
                f"BADC {made_by} submitted this, and BADC {version('badc')} runs here",
                self.path,
                "Use the same environment on nodes as on the host (slurm.python, slurm.image)",
            )

    def read_tasks(self) -> dict[int, StepInputs]:
        """Returns the inputs of all tasks, by number."""
        numbers = sorted(int(one.stem) for one in (self.path / "tasks").glob("*.json"))
        return {number: self.read_task(number) for number in numbers}

    def read_task(self, number: int) -> StepInputs:
        """Returns the inputs of a task, as the host wrote them."""
        return StepInputs.from_json(self._task(number).read_text())

    def note_intent(self, name: str, tasks: Sequence[int]) -> Submission:
        """Writes down that an array is about to be submitted, and returns it."""
        number = max((one.number for one in self.read_submissions()), default=-1) + 1
        listed = "".join(f"{one}\n" for one in tasks)
        write_text(self.path / "submissions" / f"{number}.txt", listed)
        intended = Submission(number, f"{name}-{number}", tuple(tasks), time.time())
        noted = {"name": intended.name, "tasks": list(tasks), "at_s": intended.at_s}
        self._note({"number": number, **noted})
        return intended

    def note_job(self, submission: Submission, job: str) -> Submission:
        """Writes down the job id of an array, and returns the array with it."""
        self._note({"number": submission.number, "job": job})
        return replace(submission, job=job)

    def note_refused(self, submission: Submission) -> None:
        """Writes down that an array was not submitted."""
        self._note({"number": submission.number, "refused": True})
        (self.path / "submissions" / f"{submission.number}.txt").unlink(missing_ok=True)

    def read_submissions(self) -> list[Submission]:
        """Returns the arrays that were submitted, or were about to be, in order."""
        found: dict[int, Submission] = {}
        for line in Tail(self.path / "submissions.jsonl").read():
            number = line["number"]
            if "name" in line:
                words = line["name"], tuple(line["tasks"]), line["at_s"]
                found[number] = Submission(number, *words)
            elif known := found.get(number):
                job, refused = line.get("job", known.job), line.get("refused", False)
                found[number] = replace(known, job=job, is_refused=refused)
        return [found[number] for number in sorted(found)]

    def task_of(self, submission: int, index: int) -> int:
        """Returns the number of the task that an index of an array stands for."""
        listed = (self.path / "submissions" / f"{submission}.txt").read_text()
        return int(listed.splitlines()[index])

    def owner_of(self, submission: int) -> str:
        """Returns the array that works on a submission; empty as long as none has started."""
        try:
            owner = (self.path / "submissions" / f"{submission}.owner").read_text()
        except FileNotFoundError:
            return ""
        return "" if owner == HOST else owner

    def claim(self, submission: int, claimant: str = HOST) -> str:
        """Claims a submission if nobody has; returns the array that has it, or `HOST`.

        Args:
            submission: its number.
            claimant: a task, such as `17_3`; or the host, so that no job works on it.
        """
        path = self.path / "submissions" / f"{submission}.owner"
        # Two nodes may have processes of one number.
        aside = path.with_name(f".{path.name}.{claimant}.{os.getpid()}")
        aside.write_text(claimant.partition("_")[0])
        try:
            os.link(aside, path)  # whole, or not at all, on any file system that nodes share
        except FileExistsError:
            pass
        finally:
            aside.unlink(missing_ok=True)
        return path.read_text()

    def log(self, job: str) -> Path:
        """Returns where a task's output is; its job is such as `17_3`."""
        return self.path / "logs" / f"{job}.out"

    def events(self, task: int, start: str) -> Path:
        """Returns the file of the events of a start of a task."""
        return self.path / "events" / f"{task}.{start}.jsonl"

    def list_events(self) -> dict[int, list[Path]]:
        """Returns the files of events of each task that has started."""
        found: dict[int, list[Path]] = defaultdict(list)
        for name in sorted(os.listdir(self.path / "events")):  # noqa: PTH208
            found[int(name.partition(".")[0])].append(self.path / "events" / name)
        return found

    def work_folder(self, task: int, start: str) -> Path:
        """Returns where a start of a task keeps its journals."""
        return self.path / "work" / str(task) / start

    def go_on_from_earlier_starts(self, task: int, start: str) -> None:
        """Copies what earlier starts of a task know of chunks to where this one looks."""
        own = self.work_folder(task, start)
        for path in sorted((self.path / "work" / str(task)).glob("*/journals/*.jsonl")):
            if path.parent.parent != own:
                add_lines(path, Work(own).journal(path.stem))

    def find_journals(self, recording_id: str = "*") -> dict[str, list[Path]]:
        """Returns what tasks know of the chunks of each recording, or of one."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path in sorted((self.path / "work").glob(f"*/*/journals/{recording_id}.jsonl")):
            found[path.stem].append(path)
        return found

    def release(self, recording_id: str) -> None:
        """Keeps tasks that begin later away from a recording."""
        (self.path / "released" / recording_id).touch()

    def unrelease(self, recording_id: str) -> None:
        """Lets tasks that begin later work on a recording again."""
        (self.path / "released" / recording_id).unlink(missing_ok=True)

    def list_released(self) -> set[str]:
        """Returns the recordings that no task may work on."""
        return set(os.listdir(self.path / "released"))  # noqa: PTH208

    @property
    def other_person(self) -> str:
        """The user whose run it is, if that is not the one whose process this is; else empty.

        Slurm shows everybody their own jobs, and others cannot cancel them.
        """
        try:
            uid = self.path.stat().st_uid
        except OSError:
            return ""
        if uid == os.geteuid():
            return ""
        return owner_name(self.path)

    @property
    def is_shrunk(self) -> bool:
        """Whether nobody works through it any more."""
        try:
            return not stat.S_ISDIR((self.path / "tasks").stat().st_mode)
        except PermissionError:
            return False
        except (FileNotFoundError, NotADirectoryError):
            return True

    def shrink(self) -> None:
        """Removes what only a run at work needs; `keep_tasks` keeps first what people ask for."""
        for name in ("tasks", "submissions", "events", "released", "work"):
            remove_folder(self.path / name)

    def _task(self, number: int) -> Path:
        return self.path / "tasks" / f"{number}.json"

    def _note(self, content: dict[str, Any]) -> None:
        append_line(self.path / "submissions.jsonl", content, durably=True)
