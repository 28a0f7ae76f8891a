"""Reading the TOML file of `badc infer run-config`.

Which keys there are, and what they mean, is in `run_options.py`. Every section of `badc.toml` may
be in it too, for settings of this run.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from badc_core.accounts import expand_home
from badc_core.chunks.locate import Anchor
from badc_core.cli.run_options import RunOptions
from badc_core.detector_settings import DETECTOR_FILES, OwnModelSettings
from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.options import OptionField, option_fields
from badc_core.settings import Settings
from badc_core.toml_files import read_toml
from badc_core.validation import explain_invalid

_REMEDY = "See: badc infer run-config --help"


def read_run_config(path: Path) -> RunOptions:
    """Returns the options in a TOML file; relative paths begin at its folder, or `Anchor`'s.

    Raises:
        ConfigInvalid: not TOML, an unknown key, or a value of the wrong kind; the key is named.
    """
    try:
        content = read_toml(path)
        sections = {
            name: content.pop(name)
            for name in Settings.model_fields
            if isinstance(content.get(name), dict)
        }
        config = _RunConfig.model_validate(content).model_dump()
    except OSError as error:
        raise ConfigInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except ValidationError as error:
        raise ConfigInvalid(
            explain_invalid(error, _RunConfig), path, "Correct the key named"
        ) from error
    file = absolute(path)
    _anchor_files(sections.get("detector", {}), file.parent)
    return replace(_options(config, file), sections=sections)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _place(one: OptionField) -> tuple[str, str]:
    """Returns the section and the key of an option."""
    section, _, key = (one.spec.key or f"runner.{one.name}").partition(".")
    return section, key


def _model() -> type[BaseModel]:
    sections: dict[str, dict[str, Any]] = {}
    for one in option_fields(RunOptions):
        section, key = _place(one)
        kind = Annotated[one.kind, BeforeValidator(_split)] if one.default == () else one.kind
        sections.setdefault(section, {})[key] = (kind, ... if one.is_required else one.default)
    models = {
        name: create_model(name, __base__=_Section, **keys) for name, keys in sections.items()
    }
    optional = {name: (model, model()) for name, model in models.items() if name != "runner"}
    given: dict[str, Any] = {"runner": (models["runner"], ...), **optional}
    return create_model("_RunConfig", __base__=_Section, **given)


def _anchor_files(detector: dict[str, Any], folder: Path) -> None:
    """Makes the paths of a detector's files begin at a folder."""
    for name in DETECTOR_FILES:
        if isinstance(detector.get(name), str) and detector[name]:
            detector[name] = str(folder / expand_home(detector[name]))
    model = detector.get("model")
    if isinstance(model, dict):
        names = ("file", "labels", "function")
        given = {name: model[name] for name in names if isinstance(model.get(name), str)}
        anchored = OwnModelSettings(**given).anchored(folder)
        model.update(anchored.model_dump(include=set(given)))


def _split(value: Any) -> Any:
    """Returns a list of words that may be given as one string."""
    return shlex.split(value) if isinstance(value, str) else value


_RunConfig = _model()


def _options(config: dict[str, dict[str, Any]], file: Path) -> RunOptions:
    """Returns the options; `file` is where they are from."""
    folder = file.parent
    anchor = Anchor.find(config["runner"]["manifest"], folder)
    given: dict[str, Any] = {}
    for one in option_fields(RunOptions):
        section, key = _place(one)
        value = config[section][key]
        given[one.name] = anchor.place(value) if isinstance(value, Path) else value
    # A file may list arguments for the day it uses HawkEars 1.
    if not given["use_hawkears"] and given["detector"] != "hawkears1":
        given["hawkears_args"] = ()
    return RunOptions(**given, here=folder, config=file)
