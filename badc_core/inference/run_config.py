"""Reading what `badc infer run-config` is told in a TOML file.

What the keys mean is in `run_options.py`.
"""

import shlex
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from badc_core.chunks.source import absolute
from badc_core.errors import ConfigInvalid
from badc_core.inference.run_options import RunOptions

_REMEDY = "See: badc infer run-config --help"


def read_run_config(path: Path) -> RunOptions:
    """Returns the options in a TOML file; relative paths begin at its folder.

    Raises:
        ConfigInvalid: not TOML, an unknown key, or a value of the wrong kind; the key is named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        config = _RunConfig.model_validate(content)
    except OSError as error:
        raise ConfigInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"not valid TOML: {error}", path, "Correct the line named") from error
    except ValidationError as error:
        raise ConfigInvalid(_explain(error), path, "Correct the key named") from error
    return config.options(absolute(path))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Runner(_Section):
    manifest: Path
    output_dir: Path | None = None
    telemetry_log: Path | None = None
    chunks_dir: Path | None = None
    resume_summary: Path | None = None
    detector: str | None = None
    min_score: float | None = None
    runner_cmd: str | None = None
    use_hawkears: bool = False
    max_gpus: int | None = None
    workers_per_gpu: int | None = None
    cpu_workers: int | None = None
    max_retries: int | None = None
    max_failed_fraction: float | None = None
    resume_completed: bool = True
    allow_partial_chunks: bool = False


class _HawkEars(_Section):
    extra_args: tuple[str, ...] = ()

    @field_validator("extra_args", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return shlex.split(value) if isinstance(value, str) else value


class _Paths(_Section):
    dataset_root: Path | None = None


class _RunConfig(_Section):
    runner: _Runner
    hawkears: _HawkEars = _HawkEars()
    paths: _Paths = Field(default=_Paths())

    def options(self, file: Path) -> RunOptions:
        """Returns the options; `file` is where they are from."""
        folder = file.parent
        content: dict[str, Any] = {
            key: folder / value if isinstance(value, Path) else value
            for key, value in self.runner.model_dump().items()
        }
        # A file may list arguments for the day it uses HawkEars 1.
        is_hawkears = self.runner.use_hawkears or self.runner.detector == "hawkears1"
        root = self.paths.dataset_root
        return RunOptions(
            **content,
            hawkears_args=self.hawkears.extra_args if is_hawkears else (),
            dataset_root=None if root is None else folder / root,
            here=folder,
            config=file,
        )


def _explain(error: ValidationError) -> str:
    """Puts pydantic's findings into one line, naming the valid keys where a key is unknown."""
    return "; ".join(_explain_one(dict(found)) for found in error.errors())


def _explain_one(found: dict[str, Any]) -> str:
    location = [str(part) for part in found["loc"]]
    name = ".".join(location)
    if found["type"] == "extra_forbidden":
        sections: dict[str, type[BaseModel]] = {
            "runner": _Runner,
            "hawkears": _HawkEars,
            "paths": _Paths,
        }
        section = _RunConfig if len(location) == 1 else sections[location[0]]
        return f"unknown key {name}; valid here: {', '.join(sorted(section.model_fields))}"
    if found["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {found['msg'].removeprefix('Value error, ')}"
