"""The media stages as stages of a pipeline, `pipelines/shipped/media.toml`, whose job they work in.

A job's settings are variables: `asr_model` is `MEDIA_ASR_MODEL` there. The keys of the stages that
use the network are among them too.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from badc_core.errors import ConfigInvalid
from badc_core.jobs.environment import read_text, variables
from badc_core.media.folder import MediaFolder
from badc_core.media.pyannote import TOKEN_VARIABLE
from badc_core.media.results import Skipped
from badc_core.media.stages import STAGES, MediaStage
from badc_core.media.tmdb import KEY_VARIABLE
from badc_core.media_settings import MediaSettings
from badc_core.pipelines import DeviceNeeded, StageCall, StageReport, StageSkipped
from badc_core.secret_values import MASK
from badc_core.validation import explain_invalid

_PREFIX = "MEDIA_"
_DEVICE, _CPU = "DEVICE", "cpu"
"""The setting of a job that keeps it from using GPUs; `badc job prepare` writes it."""


def run(call: StageCall) -> StageReport:
    """Runs the stage that has the name of the pipeline's stage.

    Raises:
        StageSkipped: it cannot work here.
        DeviceNeeded: it would use a GPU, and has none yet.
        ConfigInvalid: there is no such stage, or a setting makes no sense.
        BadcError: it failed.
    """
    stage = _find(call.stage)
    given = {name: value for name, value in variables(read_text(call.config)).items() if value}
    settings = read_media_settings(given, call.config)
    for name in (KEY_VARIABLE, TOKEN_VARIABLE):
        if (
            given.get(name, MASK) != MASK
        ):  # else the job's settings were removed, and this is a copy
            os.environ[name] = given[name]
    if not call.has_device and given.get(_DEVICE) != _CPU and stage.can_use_gpu(settings):
        raise DeviceNeeded
    end = stage.run(MediaFolder(call.input, call.output_dir), settings)
    if isinstance(end, Skipped):
        raise StageSkipped(end.reason)
    outputs = {key: (one.path, one.description) for key, one in end.outputs.items()}
    return StageReport(end.metadata, outputs, end.inputs)


def read_media_settings(given: Mapping[str, str], where: Path) -> MediaSettings:
    """Returns the settings among some variables.

    Args:
        given: variables; those of other names are not looked at.
        where: the file they are from.

    Raises:
        ConfigInvalid: one is unknown or has a value that makes no sense.
    """
    found = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in given.items()
        if name.startswith(_PREFIX)
    }
    try:
        return MediaSettings.model_validate(found)
    except ValidationError as error:
        what = explain_invalid(error, MediaSettings, "setting")
        remedy = f"Correct it; each is there in capitals, after {_PREFIX}"
        raise ConfigInvalid(what, where, remedy) from error


def _find(name: str) -> MediaStage:
    for stage in STAGES:
        if stage.name == name:
            return stage
    valid = ", ".join(stage.name for stage in STAGES)
    raise ConfigInvalid("there is no such media stage", name, f"Use one of: {valid}")
