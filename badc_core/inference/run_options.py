"""What somebody may ask of `badc infer run`, on the command line or in a TOML file.

Options become an order here; carrying it out is in `manifest_run.py`.
"""

import os
import shlex
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from badc_core.chunks.source import absolute
from badc_core.dataset import Dataset, InferencePaths
from badc_core.errors import ConfigInvalid, DatasetInvalid
from badc_core.inference.run_order import RunOrder
from badc_core.settings import SETTINGS_FILE, load_settings

_REMEDY = "See: badc infer run --help"


@dataclass(frozen=True)
class RunOptions:
    """Options as they were given; None, false or empty where they were not.

    Attributes:
        manifest: whose chunks.
        dataset_root: where relative paths begin; else found above the manifest.
        output_dir, telemetry_log, chunks_dir: places; else in the dataset, or below `here`.
        detector, min_score, runner_cmd, use_hawkears, hawkears_args: which detector.
        max_gpus, workers_per_gpu, cpu_workers: how the work is spread.
        max_retries, max_failed_fraction: what happens when it fails.
        resume_completed, resume_summary: which earlier results count.
        allow_partial_chunks: whether chunk files may be run whose writing was not completed.
        here: folder that outputs outside a dataset go below.
    """

    manifest: Path
    dataset_root: Path | None = None
    output_dir: Path | None = None
    telemetry_log: Path | None = None
    chunks_dir: Path | None = None
    detector: str | None = None
    min_score: float | None = None
    runner_cmd: str | None = None
    use_hawkears: bool = False
    hawkears_args: tuple[str, ...] = ()
    max_gpus: int | None = None
    workers_per_gpu: int | None = None
    cpu_workers: int | None = None
    max_retries: int | None = None
    max_failed_fraction: float | None = None
    resume_completed: bool = True
    resume_summary: Path | None = None
    allow_partial_chunks: bool = False
    here: Path = Path()

    def order(self) -> RunOrder:
        """Returns what is to be run.

        Raises:
            ConfigInvalid: options that exclude each other, or a value outside its limits.
            DatasetInvalid: there is no such folder as `dataset_root`.
        """
        manifest = absolute(self.manifest)
        root = self._root(manifest)
        file = (root or manifest.parent) / SETTINGS_FILE
        overrides = self._overrides()
        if self.hawkears_args:
            kept = load_settings(file).detector.hawkears.model_dump()
            overrides["detector"]["hawkears"] = {**kept, "arguments": list(self.hawkears_args)}
        settings = load_settings(file, overrides)
        dataset = None if root is None else Dataset(root, settings)
        artifacts = absolute(self.here) / "artifacts" if dataset is None else dataset.artifacts
        return RunOrder(
            manifests=(manifest,),
            settings=settings,
            output=InferencePaths(absolute(self.output_dir or artifacts / "infer")),
            telemetry_log=absolute(self.telemetry_log or self._new_log(manifest, dataset)),
            dataset=dataset,
            resume=self.resume_completed,
            resume_summary=None if self.resume_summary is None else absolute(self.resume_summary),
            chunks_dir=absolute(self.chunks_dir or artifacts / "chunks"),
            allow_partial_chunks=self.allow_partial_chunks,
        )

    def _root(self, manifest: Path) -> Path | None:
        if self.dataset_root is None:
            return find_root(manifest)
        if not self.dataset_root.is_dir():
            raise DatasetInvalid("no such folder", self.dataset_root, "Correct --dataset-root")
        return absolute(self.dataset_root)

    def _new_log(self, manifest: Path, dataset: Dataset | None) -> Path:
        """Returns a log no other run writes."""
        name = f"{manifest.stem}_{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{os.urandom(2).hex()}"
        if dataset is not None:
            return dataset.telemetry(name)
        return self.here / "data" / "telemetry" / "infer" / f"{name}.jsonl"

    def _overrides(self) -> dict[str, dict[str, Any]]:
        """Returns the options that were given as settings: section -> key -> value."""
        sections = {
            "detector": self._detector(),
            "inference": {
                "max_gpus": self.max_gpus,
                "workers_per_gpu": self.workers_per_gpu,
                "cpu_workers": self.cpu_workers,
                "max_retries": self.max_retries,
                "max_failed_fraction": self.max_failed_fraction,
            },
        }
        given = {
            section: {key: value for key, value in values.items() if value is not None}
            for section, values in sections.items()
        }
        return {section: values for section, values in given.items() if values}

    def _detector(self) -> dict[str, Any]:
        name = self.detector
        if self.runner_cmd and self.use_hawkears:
            raise _contradiction("--runner-cmd", "--use-hawkears")
        if self.runner_cmd:
            name = self._only("--runner-cmd", "command")
        elif self.use_hawkears:
            # Arguments are those of HawkEars 1's analyze.py; HawkEars 2 has settings instead.
            name = name or ("hawkears1" if self.hawkears_args else "hawkears")
            if not name.startswith("hawkears"):
                raise _contradiction("--use-hawkears", f"--detector {name}")
        if self.hawkears_args and name != "hawkears1":
            raise ConfigInvalid(
                "arguments can be passed to HawkEars 1 only",
                "--hawkears-arg",
                "Add --use-hawkears or --detector hawkears1",
            )
        return {"name": name, "min_score": self.min_score, "command": self.runner_cmd or None}

    def _only(self, option: str, name: str) -> str:
        """Returns the detector an option stands for; raises if another was asked for."""
        if self.detector not in {None, name}:
            raise _contradiction(option, f"--detector {self.detector}")
        return name


def find_root(path: Path) -> Path | None:
    """Returns the innermost folder above an absolute path that holds `badc.toml` or `audio/`."""
    for folder in path.parents[:-1]:
        if (folder / SETTINGS_FILE).is_file() or (folder / "audio").is_dir():
            return folder
    return None


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
    return config.options(absolute(path).parent)


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

    def options(self, folder: Path) -> RunOptions:
        """Returns the options; `folder` is where relative paths begin."""
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


def _contradiction(one: str, other: str) -> ConfigInvalid:
    return ConfigInvalid(f"excludes {other}", one, "Give one of the two")
