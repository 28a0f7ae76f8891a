"""A stage that is a Python function: what it is given, and the process it runs in.

    def count(call: StageCall) -> dict[str, int]:

The mapping it returns is the stage's metadata. To say that it cannot do its work, and that the
pipeline should go on, it raises `StageSkipped`; any other exception is a failure.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from badc_core.errors import ConfigInvalid
from badc_core.jobs import StageManifest, exit_codes
from badc_core.pipelines.pipeline_job import CALL_VARIABLE

_SKIPPED = "skipped"


class StageSkipped(Exception):
    """A stage cannot do its work here, such as without a program, and says why."""


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


def _find(entry_point: str, pipeline_dir: Path) -> Callable[[StageCall], Any]:
    """Returns the function of a stage, also of a module beside the pipeline's file."""
    sys.path.append(str(pipeline_dir))
    module, _, name = entry_point.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        remedy = "Install the package, or put the module beside the pipeline's file"
        raise ConfigInvalid(f"cannot be imported ({error})", entry_point, remedy) from error
    if not callable(function):
        raise ConfigInvalid("not a function", entry_point, "Name a function")
    found: Callable[[StageCall], Any] = function
    return found


@exit_codes()
def main() -> None:
    """Calls the function that the command line names, for the stage that the environment names."""
    call = StageCall.read(os.environ[CALL_VARIABLE])
    with StageManifest(call.stage, call.output_dir) as record:
        try:
            found = _find(sys.argv[1], call.pipeline_dir)(call)
        except StageSkipped as reason:
            record.set_error(str(reason))
            record.save(_SKIPPED)
            return
        for key, value in (found or {}).items():
            record.add_metadata(key, value)


if __name__ == "__main__":
    main()
