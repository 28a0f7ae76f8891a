"""Options of the commands that write a Slurm batch script for a plan."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from badc_core.atomic import write_text
from badc_core.cli.output import Output
from badc_core.cli.plan_use import PlanUse
from badc_core.cli.setting_options import OptionInvalid
from badc_core.options import OptionSpec, option_fields
from badc_core.slurm_array import ArrayJob

_SPECIAL = frozenset("\"'\\#")
"""sbatch takes these in the lines it reads for more than letters."""


@dataclass(frozen=True)
class ArrayOptions:
    """Whether a script is written, and what it asks Slurm for."""

    sockeye_script: Annotated[
        Path | None, OptionSpec("Write a Slurm script that does it, a task for each recording.")
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

    @property
    def gres(self) -> str:
        """Devices of a task."""
        return ""

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
        self._require_plain()

    def job(self) -> ArrayJob:
        """Returns what the script asks for."""
        return ArrayJob(
            job_name=self.sockeye_job_name,
            account=self.sockeye_account,
            partition=self.sockeye_partition,
            gres=self.gres,
            time=self.sockeye_time,
            cpus_per_task=self.sockeye_cpus_per_task,
            mem=self.sockeye_mem,
        )

    def write(self, n_tasks: int, render: Callable[[], str], out: Output) -> None:
        """Writes the script, if it is asked for and has tasks.

        Args:
            n_tasks: it would have.
            render: returns its text.
            out: where to say so.
        """
        if self.sockeye_script is not None and n_tasks:
            write_text(self.sockeye_script, render())
            out.say(f"Slurm script: {self.sockeye_script}; submit it with sbatch.")

    def _require_plain(self) -> None:
        """Raises OptionInvalid for a value that is more than a word to sbatch."""
        for one in option_fields(ArrayOptions):
            value = getattr(self, one.name)
            if isinstance(value, str):
                _require_word(value, one.option)
        _require_word(self.gres, "--sockeye-gres")


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

    @property
    def gres(self) -> str:
        """Devices of a task."""
        return self.sockeye_gres


def _require_word(value: str, option: str) -> None:
    if not value.isprintable() or " " in value or _SPECIAL & {*value}:
        raise OptionInvalid(f"{value!r} has a character that sbatch would misread", option)
