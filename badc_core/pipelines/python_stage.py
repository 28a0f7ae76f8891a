"""The process of a stage that is a Python function; what that is given is in `stage_call.py`."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from badc_core.errors import ConfigInvalid
from badc_core.jobs import StageManifest, exit_codes
from badc_core.jobs.layout import SKIPPED
from badc_core.pipelines.stage_call import (
    CALL_VARIABLE,
    DEVICE_NEEDED,
    DeviceNeeded,
    StageCall,
    StageReport,
    StageSkipped,
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
            record.save(SKIPPED)
            return
        except DeviceNeeded:
            record.set_error("it needs a GPU")
            record.add_metadata(DEVICE_NEEDED, True)
            record.save(SKIPPED)
            return
        report = found if isinstance(found, StageReport) else StageReport(found or {}, {})
        for key, path in report.inputs.items():
            record.add_input(key, path)
        for key, (path, description) in report.outputs.items():
            record.add_output(key, path, description)
        for key, value in report.metadata.items():
            record.add_metadata(key, value)


if __name__ == "__main__":
    main()
