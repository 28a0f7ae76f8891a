"""Options of `badc infer run`, on the command line or in a TOML file.

Options become an order here; the file is read in `run_config.py`, and carrying out an order is in
`manifest_run.py`.
"""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Self

from badc_core.cli.setting_options import Place, SettingOptions
from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.errors import DatasetInvalid
from badc_core.file_names import absolute, explain_no_folder
from badc_core.inference.run_spec import RunSpec
from badc_core.options import OptionSpec, to_argv
from badc_core.provenance.datalad import below
from badc_core.settings import SETTINGS_FILE
from badc_core.telemetry.log import OUTSIDE_DATASETS
from badc_core.toml_files import render_value

_RECORD: Place = ("datalad", "record")


@dataclass(frozen=True, kw_only=True)
class InferOptions(SettingOptions):
    """Options that the commands of `badc infer` that run a detector share."""

    command: ClassVar[str] = "badc infer run"

    resume_completed: Annotated[
        bool, OptionSpec("Skip what an earlier run with these settings has analysed.")
    ] = True
    allow_partial_chunks: Annotated[
        bool, OptionSpec("Also run chunk files that are not complete.")
    ] = False
    chunks_dir: Annotated[
        Path | None,
        OptionSpec(
            "Holds a folder of chunk files for each recording.",
            "artifacts/chunks, in the dataset if there is one",
        ),
    ] = None

    def unrecorded(self) -> Self:
        """Returns the same options, all of the command line, for a command that DataLad records."""
        of_file = (
            f"{section}.{key}={render_value(value)}"
            for section, values in self.sections.items()
            for key, value in values.items()
        )
        all_of_them = (*of_file, *self.assignments)
        others = tuple(one for one in all_of_them if self.parse(one)[0] != _RECORD)
        return replace(self, assignments=others, sections={}, record_datalad=False)


@dataclass(frozen=True)
class RunOptions(InferOptions):
    """Options as they were given; None, false or empty where they were not.

    Attributes:
        here: folder that outputs outside a dataset go below.
    """

    manifest: Annotated[
        Path, OptionSpec("A chunk manifest.", metavar="MANIFEST", also="--manifest")
    ]
    dataset_root: Annotated[
        Path | None,
        OptionSpec(
            "Where relative paths begin.",
            "the folder above MANIFEST with badc.toml or audio/",
            key="paths.dataset_root",
        ),
    ] = None
    output_dir: Annotated[
        Path | None,
        OptionSpec(
            "Holds a folder for each recording, or is named for the one.",
            "artifacts/infer, in the dataset if there is one",
        ),
    ] = None
    telemetry_log: Annotated[
        Path | None,
        OptionSpec(
            "What is measured; the summary is written beside it.",
            "a new one in artifacts/telemetry/infer or data/telemetry/infer",
        ),
    ] = None
    resume_summary: Annotated[
        Path | None,
        OptionSpec("Skip what succeeded according to this summary and has its result."),
    ] = None
    here: Path = Path()

    def order(self) -> RunSpec:
        """Returns what is to be run.

        Raises:
            OptionInvalid: options that exclude each other, or a value outside its limits.
            ConfigInvalid: the same in a TOML file or in `badc.toml`.
            DatasetInvalid: there is no such folder as `dataset_root`.
        """
        manifest = absolute(self.manifest)
        root = self._root(manifest)
        options = self if root is None else self.anchored(root)
        settings = options.settings((root or manifest.parent) / SETTINGS_FILE)
        dataset = None if root is None else Dataset(root, settings)
        artifacts = absolute(self.here) / "artifacts" if dataset is None else dataset.artifacts
        return RunSpec(
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

    def words(self, spec: RunSpec) -> list[str]:
        """Returns the command that runs this, as it is typed in the dataset's root.

        Args:
            spec: what `order` returned.
        """
        root = spec.dataset.root if spec.dataset else absolute(self.here)
        places = ["--output-dir", below(root, spec.output.folder)]
        places += ["--telemetry-log", below(root, spec.telemetry_log), "--dataset-root", "."]
        if spec.resume_summary is not None:
            places += ["--resume-summary", below(root, spec.resume_summary)]
        chosen = self.chunks_dir and Path(below(root, absolute(self.chunks_dir)))
        # DataLad itself records what it runs.
        unrecorded = self.unrecorded().anchored(root)
        options = to_argv(replace(unrecorded, chunks_dir=chosen), InferOptions)
        manifest = below(root, spec.manifests[0])
        return ["badc", "infer", "run", *places, *options, "--", manifest]

    def _root(self, manifest: Path) -> Path | None:
        if self.dataset_root is None:
            return find_dataset_above(manifest)
        if not self.dataset_root.is_dir():
            why = explain_no_folder(self.dataset_root)
            raise DatasetInvalid(why, self.dataset_root, "Correct --dataset-root")
        return absolute(self.dataset_root)

    def _new_log(self, manifest: Path, dataset: Dataset | None) -> Path:
        """Returns a log no other run writes."""
        name = f"{manifest.stem}_{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{os.urandom(2).hex()}"
        if dataset is not None:
            return dataset.telemetry(name)
        return self.here / OUTSIDE_DATASETS / f"{name}.jsonl"


def find_dataset_above(path: Path) -> Path | None:
    """Returns the innermost folder above an absolute path that holds `badc.toml` or `audio/`."""
    for folder in path.parents[:-1]:
        if (folder / SETTINGS_FILE).is_file() or (folder / "audio").is_dir():
            return folder
    return None
