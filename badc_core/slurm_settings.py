"""The settings of work that runs on a Slurm cluster; `settings.py` has the others."""

import re
from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator

from badc_core.settings_section import Section
from badc_core.slurm_array import sbatch_options

StageName: TypeAlias = Literal[
    "recording", "chunk_manifest", "raw_detections", "detections", "report_bundle"
]
"""Names of the table in `stages/stage.py`, which is far above here."""


_TIME = re.compile(r"|\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|unlimited|infinite", re.IGNORECASE)
_GPUS = re.compile(r"(?:--gpus(?:-per-(?:node|task|socket))?=|-G *)(.+)")


class SlurmResources(Section):
    """What a job asks Slurm for; what is empty is left to the cluster's defaults."""

    account: str = Field("", description="Account that is charged.")
    partition: str = Field("", description="Partition, or several with commas.")
    qos: str = Field("", description="Quality of service.")
    gres: str = Field("", description="Devices of each task, such as `gpu:1`.")
    time: str = Field("", description="Longest run time of a task, such as `04:00:00`.")
    cpus_per_task: int | None = Field(None, ge=1, description="Cores of each task.")
    mem: str = Field("", description="Memory of each task, such as `8G`.")
    constraint: str = Field("", description="Features that a node must have.")
    extra: tuple[str, ...] = Field(
        (), description="Further options of sbatch, one a text, such as `--exclusive`."
    )

    @field_validator("time")
    @classmethod
    def _is_time(cls, time: str) -> str:
        if not _TIME.fullmatch(time):
            raise ValueError(f"{time!r} is not a Slurm time, such as 90 (minutes), 04:00:00, 1-12")
        return time

    @field_validator("extra")
    @classmethod
    def _are_options(cls, extra: tuple[str, ...]) -> tuple[str, ...]:
        for one in extra:
            if not one.startswith("-"):
                raise ValueError(f"invalid sbatch option {one!r}; it must start with -")
            if one.startswith(("-M", "--clusters")):
                raise ValueError("jobs must go to the cluster that squeue shows: not --clusters")
        return extra

    @property
    def n_gpus(self) -> int:
        """How many GPUs a task has."""
        asked = [f"--gres={self.gres}", *self.extra]
        return max(map(_count_gpus, asked))

    def options(self) -> list[str]:
        """Returns the options of sbatch that ask for this."""
        named = self.model_dump(include=set(SlurmResources.model_fields) - {"extra"})
        return [*sbatch_options(named), *self.extra]


class SlurmSettings(SlurmResources):
    """Which stages run on a Slurm cluster, and how."""

    stages: tuple[StageName, ...] = Field(
        (), description="Stages whose steps run on the cluster, such as `raw_detections`."
    )
    folder: str = Field(
        "",
        description="Folder that nodes can write, for the files of jobs; empty for one in the "
        "dataset.",
    )
    setup: tuple[str, ...] = Field(
        (), description="Lines of bash before BADC starts on a node, such as `module load gcc`."
    )
    python: str = Field(
        "", description="Python of BADC's environment on nodes; empty for the one that runs BADC."
    )
    image: str = Field("", description="Apptainer image that has BADC; empty for none.")
    target_minutes: float = Field(
        60.0, gt=0, description="Recordings are packed into tasks that take about this long."
    )
    max_running_tasks: int | None = Field(
        None,
        ge=1,
        description="Tasks of an array that may run at once; empty for any number.",
    )
    resubmissions: int = Field(
        3,
        ge=0,
        description="How often a task that ran out of time, or whose node failed or was taken "
        "away, is submitted again to go on where it was.",
    )
    resources: dict[StageName, SlurmResources] = Field(
        {}, description="Stage -> what its jobs ask for, in place of the values above."
    )

    def for_stage(self, stage: str) -> SlurmResources:
        """Returns what the jobs of a stage ask for."""
        own = {str(one): it for one, it in self.resources.items()}.get(stage)
        given: dict[str, Any] = {} if own is None else own.model_dump(exclude_unset=True)
        common = self.model_dump(include=set(SlurmResources.model_fields))
        return SlurmResources(**{**common, **given})

    def on_cluster(self, stage: str) -> bool:
        """Returns whether the steps of a stage run on the cluster."""
        return stage in self.stages


def _count_gpus(option: str) -> int:
    """Returns how many GPUs an option of sbatch asks for, such as `--gres=gpu:a100:2`."""
    if option.startswith("--gres="):
        counts = re.findall(r"\bgpu\b(?::[A-Za-z][\w.-]*)?(?::(\d+))?", option)
        return sum(int(one or 1) for one in counts)
    found = _GPUS.fullmatch(option)
    return sum(int(one) for one in re.findall(r"(?:^|[:,])(\d+)(?=,|$)", found[1])) if found else 0
