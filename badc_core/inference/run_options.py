"""What somebody may ask of `badc infer run`, on the command line or in a TOML file.

Options become an order here; the file is read in `run_config.py`, and carrying out an order is in
`manifest_run.py`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from badc_core.chunks.source import absolute
from badc_core.dataset import Dataset, InferencePaths
from badc_core.detectors.registry import detector_names
from badc_core.errors import ConfigInvalid, DatasetInvalid
from badc_core.inference.run_order import RunOrder
from badc_core.settings import SETTINGS_FILE, Settings, load_settings
from badc_core.telemetry.log import OUTSIDE_DATASETS, is_something_else

_REMEDY = "See: badc infer run --help"

_CALLED = {
    "workers_per_gpu": ("--worker-per-gpu", "runner.workers_per_gpu"),
    "hawkears_args": ("--hawkears-arg", "hawkears.extra_args"),
}
"""Options that are not called as their fields are: on the command line, and in a file."""


class OptionInvalid(ConfigInvalid):
    """An option of the command line, which it names, has a value that cannot be used."""


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
        config: TOML file they are from; None for the command line.
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
    config: Path | None = None

    def order(self) -> RunOrder:
        """Returns what is to be run.

        Raises:
            OptionInvalid: options that exclude each other, or a value outside its limits.
            ConfigInvalid: the same in a TOML file or in `badc.toml`, or the telemetry log is
                another kind of file.
            DatasetInvalid: there is no such folder as `dataset_root`.
        """
        manifest = absolute(self.manifest)
        root = self._root(manifest)
        file = (root or manifest.parent) / SETTINGS_FILE
        settings = self._settings(file)
        dataset = None if root is None else Dataset(root, settings)
        log = absolute(self.telemetry_log or self._new_log(manifest, dataset))
        if is_something_else(log):
            raise ConfigInvalid(
                "this file is no telemetry log", log, "Name a new one; nothing was written"
            )
        artifacts = absolute(self.here) / "artifacts" if dataset is None else dataset.artifacts
        return RunOrder(
            manifests=(manifest,),
            settings=settings,
            output=InferencePaths(absolute(self.output_dir or artifacts / "infer")),
            telemetry_log=log,
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
        return self.here / OUTSIDE_DATASETS / f"{name}.jsonl"

    def _settings(self, file: Path) -> Settings:
        """Returns the settings in a file with these options laid on."""
        overrides = self._overrides()
        if self.hawkears_args:
            kept = load_settings(file).detector.hawkears.model_dump()
            overrides["detector"]["hawkears"] = {**kept, "arguments": list(self.hawkears_args)}
        try:
            return load_settings(file, overrides)
        except ConfigInvalid as error:
            load_settings(file)  # which raises where the file alone is to blame
            raise self._blame(error, overrides) from error

    def _blame(
        self, error: ConfigInvalid, overrides: Mapping[str, Mapping[str, Any]]
    ) -> ConfigInvalid:
        """Returns an error about settings as one about the options they came from."""
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            return error
        found = cause.errors()[0]
        section, *rest = (str(one) for one in found["loc"])
        given = overrides.get(section, {})
        keys = [key for key in rest[:1] if key in given] or list(given)
        if not keys:
            return error
        what = found["msg"].removeprefix("Value error, ")
        given_value = f", not {found['input']}" if rest else ""
        return self._refuse(what + given_value, *map(self._field, keys))

    def _field(self, key: str) -> str:
        """Returns the option that a setting was put together from."""
        if key == "name" and self.detector is None:
            return "use_hawkears" if self.use_hawkears else "runner_cmd"
        fields = {"name": "detector", "command": "runner_cmd", "hawkears": "hawkears_args"}
        return fields.get(key, key)

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
            raise self._contradiction("runner_cmd", self._called("use_hawkears"))
        if self.runner_cmd:
            if self.detector not in {None, "command"}:
                raise self._contradiction("runner_cmd", f"{self._called('detector')} {name}")
            name = "command"
        elif self.use_hawkears:
            # Arguments are those of HawkEars 1's analyze.py; HawkEars 2 has settings instead.
            name = name or ("hawkears1" if self.hawkears_args else "hawkears")
            if not name.startswith("hawkears"):
                raise self._contradiction("use_hawkears", f"{self._called('detector')} {name}")
        if self.hawkears_args and name != "hawkears1":
            what = "arguments can be passed to HawkEars 1 only"
            raise self._refuse(what, "hawkears_args")
        if self.detector is not None and self.detector not in detector_names():
            what = f"no detector is called {name!r}, only {', '.join(detector_names())}"
            raise self._refuse(what, "detector")
        return {"name": name, "min_score": self.min_score, "command": self.runner_cmd or None}

    def _contradiction(self, field: str, other: str) -> ConfigInvalid:
        return self._refuse(f"excludes {other}", field)

    def _refuse(self, what: str, *fields: str) -> ConfigInvalid:
        """Returns the complaint about options, or about the keys of the file they are from."""
        names = ", ".join(map(self._called, fields))
        if self.config is None:
            return OptionInvalid(what, names, _REMEDY)
        return ConfigInvalid(f"{names}: {what}", self.config, "Correct the key named")

    def _called(self, field: str) -> str:
        """Returns what somebody calls a field: an option, or a key of their file."""
        option = f"--{field.replace('_', '-')}"
        return _CALLED.get(field, (option, f"runner.{field}"))[self.config is not None]


def find_root(path: Path) -> Path | None:
    """Returns the innermost folder above an absolute path that holds `badc.toml` or `audio/`."""
    for folder in path.parents[:-1]:
        if (folder / SETTINGS_FILE).is_file() or (folder / "audio").is_dir():
            return folder
    return None
