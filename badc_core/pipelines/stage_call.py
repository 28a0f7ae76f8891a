"""What a stage's process is given; what a stage is that is a Python function.

    def count(call: StageCall) -> dict[str, int]:

The mapping it returns is the stage's metadata; with a `StageReport` it also says what its outputs
are. To say that it cannot do its work, and that the pipeline should go on, it raises
`StageSkipped`; any other exception is a failure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

CALL_VARIABLE = "BADC_STAGE"
"""The environment variable that describes a stage to its process, as JSON."""
DEVICE_NEEDED = "device_needed"
"""Metadata entry of a stage that is to be called again with a GPU."""


class StageSkipped(Exception):
    """A stage cannot do its work here, such as without a program, and says why."""


class DeviceNeeded(Exception):
    """A stage without `device` finds that it could use a GPU; it is called again with one leased.

    Only a stage whose call has no `has_device` may raise it.
    """


@dataclass(frozen=True)
class StageReport:
    """What a stage did.

    Attributes:
        metadata: for people.
        outputs: key in the manifest -> a file, and what it is for people.
        inputs: key -> a file that it looked for, besides those that the pipeline names: if one
            changes, appears or goes, the stage has to run again.
    """

    metadata: Mapping[str, Any]
    outputs: Mapping[str, tuple[Path, str]]
    inputs: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class StageCall:
    """What a stage works on.

    Attributes:
        input: what the job is about.
        job: its id.
        stage: the name of the stage.
        output_dir: the job's folder, which is the current one.
        log_dir: the folder of its logs.
        config: the file with its settings.
        pipeline_dir: the folder of the pipeline's file.
        inputs: by what the pipeline calls them; without optional ones that are not there.
        outputs: what the stage must write; their folders are there.
        skipped: the stages that were skipped.
        has_device: whether it was given a GPU of its own, if this machine has any.
    """

    input: Path
    job: str
    stage: str
    output_dir: Path
    log_dir: Path
    config: Path
    pipeline_dir: Path
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    skipped: tuple[str, ...]
    has_device: bool

    @classmethod
    def read(cls, text: str) -> Self:
        """Returns the call that a stage's process was given as JSON."""
        told = json.loads(text)
        paths = ("input", "output_dir", "log_dir", "config", "pipeline_dir")
        files = {
            name: {key: Path(path) for key, path in told[name].items()}
            for name in ("inputs", "outputs")
        }
        skipped = tuple(told["skipped"])
        return cls(
            **{**told, **{one: Path(told[one]) for one in paths}, **files, "skipped": skipped}
        )
