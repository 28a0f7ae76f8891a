"""Options of the commands that write a Slurm batch script for a plan."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from badc_core.atomic import naming_storage_trouble, write_text
from badc_core.cli.output import Output
from badc_core.cli.plan_use import PlanUse
from badc_core.datasets.dataset import Dataset
from badc_core.errors import OptionInvalid
from badc_core.options import OptionSpec, option_fields
from badc_core.slurm_array import ArrayJob, stops_at_once

_SPECIAL = frozenset("\"'\\#")
"""sbatch gives these a special meaning in the lines it reads."""
_MOST_TASKS = 1000
"""Of an array, where the cluster has Slurm's default of MaxArraySize."""


@dataclass(frozen=True)
class ArrayOptions:
    """Whether a script is written, and what it asks Slurm for."""

    sockeye_script: Annotated[
        Path | None,
        OptionSpec("Write a Slurm script that carries out the plan, a task for each recording."),
    ] = None
    sockeye_job_name: Annotated[str, OptionSpec("Name of the Slurm job.")] = "badc-chunk"
    sockeye_account: Annotated[str, OptionSpec("Account charged.", "the cluster's")] = ""
    sockeye_partition: Annotated[str, OptionSpec("Partition of Slurm.", "the cluster's")] = ""
    sockeye_time: Annotated[
        str, OptionSpec("Longest run time of a task, such as 04:00:00.", "the cluster's")
    ] = ""
    sockeye_cpus_per_task: Annotated[
        int | None, OptionSpec("Cores of a task.", "the cluster's", least=1)
    ] = None
    sockeye_mem: Annotated[str, OptionSpec("Memory of a task, such as 8G.", "the cluster's")] = ""

    def require_fitting(self, use: PlanUse) -> None:
        """Raises OptionInvalid for options without a script, or with another use of the plan."""
        if self.sockeye_script is None:
            for one in option_fields(type(self)):
                if getattr(self, one.name) != one.default:
                    raise OptionInvalid("needs --sockeye-script", one.option)
            return
        for option, is_given in (
            ("--apply", use.apply),
            ("--print-datalad-run", use.print_datalad_run),
        ):
            if is_given:
                raise OptionInvalid(f"excludes {option}", "--sockeye-script")
        for one in option_fields(ArrayOptions):
            value = getattr(self, one.name)
            if isinstance(value, str):
                _require_word(value, one.option)

    def job(self, gres: str = "") -> ArrayJob:
        """Returns what the script asks for, and devices for each task."""
        return ArrayJob(
            job_name=self.sockeye_job_name,
            account=self.sockeye_account,
            partition=self.sockeye_partition,
            gres=gres,
            time=self.sockeye_time,
            cpus_per_task=self.sockeye_cpus_per_task,
            mem=self.sockeye_mem,
        )

    def write(
        self, n_tasks: int, render: Callable[[], str], out: Output, unsaved: Dataset | None
    ) -> None:
        """Writes the script, if it is asked for; removes an old one where there are no tasks.

        Args:
            n_tasks: it would have.
            render: returns its text.
            out: where to say so.
            unsaved: the dataset, unless tasks commit their results.
        """
        path = self.sockeye_script
        if path is None:
            return
        if not n_tasks:
            out.warn(f"there is no {path}: no recording is left for its tasks.")
            if path.is_file():
                with naming_storage_trouble(path):
                    path.unlink()
            return
        write_text(path, render())
        out.say(f"Slurm script: {path}; submit it with sbatch.")
        if n_tasks > _MOST_TASKS:
            more = f"{n_tasks:,} tasks are more than most clusters allow in an array"
            out.warn(f"{more}: if sbatch refuses the script, give --limit {_MOST_TASKS}.")
        if stops_at_once(self.sockeye_time):
            what = f"with --sockeye-time {self.sockeye_time} tasks stop as soon as they start"
            out.warn(f"{what}: they stop two minutes before their time is over.")
        if unsaved is not None and _is_committed_to(unsaved):
            out.say("Tasks do not commit: type datalad save when all have ended.")


@dataclass(frozen=True)
class InferArrayOptions(ArrayOptions):
    """The same for inference."""

    sockeye_job_name: Annotated[str, OptionSpec("Name of the Slurm job.")] = "badc-infer"
    sockeye_gres: Annotated[str, OptionSpec("Devices of a task, such as gpu:1.", "none")] = ""
    sockeye_resume_completed: Annotated[
        bool, OptionSpec("Tasks also skip what succeeded according to an earlier summary.")
    ] = False
    sockeye_bundle: Annotated[
        bool, OptionSpec("Tasks write a table and a bundle of their recording afterwards.")
    ] = False
    sockeye_bundle_aggregate_dir: Annotated[
        Path, OptionSpec("Holds them; relative to the dataset.")
    ] = Path("artifacts/aggregate")
    sockeye_bundle_bucket_minutes: Annotated[
        int, OptionSpec("Width of a timeline bucket.", least=1, most=1440)
    ] = 60
    sockeye_log_dir: Annotated[
        str,
        OptionSpec(
            "Where tasks write telemetry before it is copied into the dataset; may have variables"
            " of the node, such as '$SCRATCH/badc'.",
            "the dataset",
        ),
    ] = ""

    def require_fitting(self, use: PlanUse) -> None:
        """Raises OptionInvalid as above, and for a folder that no node would find."""
        super().require_fitting(use)
        _require_word(self.sockeye_gres, "--sockeye-gres")
        if self.sockeye_log_dir.startswith("~"):
            raise OptionInvalid("write '$HOME' in place of ~", "--sockeye-log-dir")


def _is_committed_to(dataset: Dataset) -> bool:
    """Returns whether commands other than these scripts commit their results."""
    record = dataset.settings.datalad.record
    return record == "require" or (record == "auto" and (dataset.root / ".datalad").is_dir())


def _require_word(value: str, option: str) -> None:
    if not value.isprintable() or " " in value or _SPECIAL & {*value}:
        raise OptionInvalid(f"{value!r} has a character that sbatch would misread", option)
