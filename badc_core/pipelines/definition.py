"""What a pipeline is: its stages in order, as a TOML file describes them.

The order of stages is worked out in `graph.py`, placeholders in `templates.py`.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationError,
    model_validator,
)

from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.hashing import sha256_text
from badc_core.pipelines.graph import Links, order_stages
from badc_core.pipelines.templates import require_placeholders
from badc_core.toml_files import read_toml
from badc_core.validation import explain_invalid

# Dagster joins names by two underscores, so that none may have these.
_NAME = r"^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$"
_Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=60, strict=True)]
_Text = Annotated[str, StringConstraints(min_length=1, strict=True)]
_Texts = tuple[_Text, ...]
_Model = TypeVar("_Model", bound=BaseModel)
_ENTRY_POINT = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


class PipelineStage(BaseModel):
    """A stage of a pipeline.

    Attributes:
        name: unique in the pipeline.
        command: program and arguments.
        python: `module:function`, in place of a command.
        inputs: files that it needs.
        optional_inputs: files that it reads if they are there.
        outputs: files and folders that it writes, inside the job's folder.
        settings: variables of the job's settings that it reads.
        after: further stages that must be over before it.
        timeout_s: seconds an attempt may take; None for as long as it likes.
        retries: how often it is tried again after a failure.
        optional: whether the pipeline goes on without it.
        device: whether it needs a GPU of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: _Name
    command: _Texts = ()
    python: Annotated[str, StringConstraints(pattern=_ENTRY_POINT, strict=True)] = ""
    inputs: _Texts = ()
    optional_inputs: _Texts = ()
    outputs: _Texts = ()
    settings: _Texts = ()
    after: _Texts = ()
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] | None = None
    retries: Annotated[int, Field(ge=0, le=100, strict=True)] = 0
    optional: StrictBool = False
    device: StrictBool = False

    @model_validator(mode="after")
    def _require_one_way(self) -> Self:
        if bool(self.command) == bool(self.python):
            raise ValueError("needs either command or python")
        return self

    @property
    def fingerprint(self) -> str:
        """Changes whenever what the stage does may."""
        fields = self.model_dump(include={"command", "python", "inputs", "optional_inputs"})
        return sha256_text(json.dumps([fields, sorted(self.outputs)]))[:16]


class Pipeline(BaseModel):
    """A pipeline.

    Attributes:
        name: of the pipeline.
        path: of its file, absolute.
        stages: each after those that it depends on.
        depends_on: the stages that each must run after.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    path: Path
    stages: tuple[PipelineStage, ...]
    depends_on: dict[str, tuple[str, ...]]

    def stage(self, name: str) -> PipelineStage:
        """Returns a stage."""
        return self.stages[self.number(name) - 1]

    def number(self, name: str) -> int:
        """Returns the place of a stage in the order, from 1."""
        return [one.name for one in self.stages].index(name) + 1


class _PipelineFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: _Name | None = None
    stage: list[dict[str, Any]] = []


def read_pipeline(path: Path) -> Pipeline:
    """Returns the pipeline that a TOML file describes.

    Raises:
        ConfigInvalid: the file cannot be read, has unknown keys or values that make no sense, or
            its stages cannot be put in order; says which stage and what to do.
    """
    path = _follow(absolute(path))
    try:
        content = read_toml(path)
    except FileNotFoundError as error:
        raise ConfigInvalid("there is no such pipeline", path, "Check the path") from error
    file = _validate(_PipelineFile, content, str(path))
    if not file.stage:
        what = "it has no stage; each begins with [[stage]]"
        raise ConfigInvalid(what, path, "Add one; see docs/pipelines.md")
    stages = [_read_stage(table, number, path) for number, table in enumerate(file.stage, 1)]
    links = [
        Links(one.name, one.inputs, one.optional_inputs, one.outputs, one.after) for one in stages
    ]
    depends_on = order_stages(links, path)
    by_name = {one.name: one for one in stages}
    return Pipeline(
        name=file.name or _name_of(path),
        path=path,
        stages=tuple(by_name[name] for name in depends_on),
        depends_on=depends_on,
    )


def _follow(path: Path) -> Path:
    """Returns what a link leads to, beside which its scripts are.

    One to a file of another name leads to the content of an annexed file, where no scripts are.
    """
    real = path.resolve()
    return real if real.name == path.name else path


def _read_stage(table: dict[str, Any], number: int, path: Path) -> PipelineStage:
    name = table.get("name")
    where = f"{path}: stage {name if isinstance(name, str) and name else number}"
    stage = _validate(PipelineStage, table, where)
    for text in (*stage.command, *stage.inputs, *stage.optional_inputs):
        require_placeholders(text, where)
    return stage


def _validate(model: type[_Model], content: Any, where: str) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        what = explain_invalid(error, model)
        raise ConfigInvalid(what, where, "Correct it; see docs/pipelines.md") from error


def _name_of(path: Path) -> str:
    """Returns the name that a file gives its pipeline."""
    where = f"{path}: its file name cannot name it"
    return _validate(_Named, {"name": path.stem}, where).name


class _Named(BaseModel):
    name: _Name
