"""A dataset: a folder with recordings in it, its settings, and the name of every file BADC keeps.

All paths are made here; nobody joins path strings elsewhere.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from badc_core.accounts import expand_home
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.datasets.review_paths import ReviewPaths
from badc_core.errors import DatasetInvalid
from badc_core.file_names import absolute, explain_no_folder
from badc_core.hashing import sha256_bytes
from badc_core.settings import SETTINGS_FILE, Settings, load_settings

HAWKEARS_ENDING = "_hawkears"
"""Of the folder of HawkEars' own files about a chunk, behind the chunk_id."""

RUNNER_ENDING = "_runner"
"""The same for other programs."""


@dataclass(frozen=True)
class BundlePaths:
    """The files of one recording's report bundle."""

    prefix: Path

    @property
    def quicklook(self) -> Path:
        """Folder of labels.csv, recordings.csv and chunks.csv."""
        return self._with("_quicklook")

    @property
    def parquet_report(self) -> Path:
        """Folder of labels.csv, recordings.csv, timeline.csv and summary.json."""
        return self._with("_parquet_report")

    @property
    def duckdb(self) -> Path:
        """Database with the table `detections` and the three summary views."""
        return self._with(".duckdb")

    @property
    def duckdb_exports(self) -> Path:
        """Folder of the views as CSV."""
        return self._with("_duckdb_exports")

    @property
    def tables(self) -> tuple[Path, Path, Path, Path]:
        """What a full bundle has beside the page: three folders and a database."""
        return self.quicklook, self.parquet_report, self.duckdb, self.duckdb_exports

    @property
    def html(self) -> Path:
        """The self-contained report page."""
        return self._with("_report.html")

    def _with(self, suffix: str) -> Path:
        return self.prefix.with_name(self.prefix.name + suffix)


@dataclass(frozen=True)
class InferencePaths:
    """The files of chunks on their way to detections, a folder for each recording."""

    folder: Path

    def recording(self, recording_id: str) -> Path:
        """The recording's folder; the given one itself where it is named for the recording."""
        return self.folder if self.folder.name == recording_id else self.folder / recording_id

    def chunk_json(self, recording_id: str, chunk_id: str) -> Path:
        """A chunk's detections as the original BADC wrote them."""
        return self.recording(recording_id) / f"{chunk_id}.json"

    def chunk_files(self, recording_id: str, chunk_id: str, runner: str) -> Path:
        """What the detector's own program wrote about a chunk, beside `chunk_json`."""
        ending = HAWKEARS_ENDING if runner.startswith("hawkears") else RUNNER_ENDING
        return self.recording(recording_id) / f"{chunk_id}{ending}"

    @staticmethod
    def other_chunk_files(files: Path) -> Path:
        """What the other kind of program wrote about the chunk whose `chunk_files` is given."""
        mine, other = HAWKEARS_ENDING, RUNNER_ENDING
        if not files.name.endswith(mine):
            mine, other = other, mine
        return files.with_name(files.name.removesuffix(mine) + other)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset.

    Args:
        root: its folder, absolute, symlinks kept.
        settings: its settings with a run's overrides laid on.
    """

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Returns the dataset in a folder.

        Raises:
            DatasetInvalid: the folder, or every recordings folder in it, does not exist.
            ConfigInvalid: `badc.toml` or an override is wrong.
        """
        root = absolute(root)
        if not root.is_dir():
            raise DatasetInvalid(explain_no_folder(root), root, "Give the folder that holds audio/")
        dataset = cls(root, load_settings(root / SETTINGS_FILE, overrides))
        if not any(folder.is_dir() for folder in dataset.audio_roots):
            wanted = ", ".join(dataset.settings.recordings.roots)
            raise DatasetInvalid(
                f"no recordings folder ({wanted}) inside",
                root,
                "Move the recordings there, or set recordings.roots in badc.toml",
            )
        return dataset

    @property
    def name(self) -> str:
        """What results call the dataset."""
        return self.settings.recordings.dataset_name or self.root.name

    @property
    def audio_roots(self) -> tuple[Path, ...]:
        """Folders that are searched for recordings."""
        return tuple(self.root / name for name in self.settings.recordings.roots)

    @property
    def registry(self) -> Path:
        """Table of all recordings ever seen: id, path, fingerprint."""
        return self.root / "recordings.csv"

    @property
    def deployments(self) -> Path:
        """Optional table of stations: place, time zone, corrections."""
        return self.root / self.settings.recordings.deployments

    @property
    def lock(self) -> Path:
        """Held while the registry is rewritten."""
        return self.work_folder / "registry.lock"

    @property
    def artifacts(self) -> Path:
        """Everything BADC makes, but for manifests and the registry."""
        return self.root / "artifacts"

    @property
    def aggregate(self) -> Path:
        """Folder of detections files and report bundles."""
        return self.artifacts / "aggregate"

    @property
    def output_folders(self) -> tuple[Path, ...]:
        """Folders in which files are replaced, except those of the chunks of one recording."""
        files = (
            *(self.recording, self.manifest, self.raw_detections, self.detections, self.effort),
            *(self.speech, self.failure, self.fingerprints, self.telemetry),
        )
        return (self.root, *(one("x").parent for one in files), self.corpus.folder)

    def below(self, path: Path) -> str:
        """A file in the dataset, as tables name it: relative, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def without_root(self, message: str) -> str:
        """A message with paths relative to the dataset: reports are made to share."""
        for root in (self.root.absolute(), self.root.resolve()):
            message = message.replace(f"{root}/", "")
        return message

    def audio(self, relative_path: str) -> Path:
        """The audio file at a registry path."""
        return self.root / relative_path

    def recording(self, recording_id: str) -> Path:
        """What the recording is (`recordings/describe.py`), as JSON."""
        return self.artifacts / "recordings" / f"{recording_id}.json"

    def manifest(self, recording_id: str) -> Path:
        """The recording's chunk manifest."""
        return self.root / "manifests" / f"{recording_id}.csv"

    def chunk_files(self, recording_id: str) -> Path:
        """Folder of the recording's chunks as files of their own, where `badc chunk` wrote some."""
        return self.artifacts / "chunks" / recording_id

    def raw_detections(self, recording_id: str) -> Path:
        """Everything the detector found down to the score floor, and what became of each chunk."""
        return self.artifacts / "raw_detections" / f"{recording_id}.parquet"

    def detections(self, recording_id: str) -> Path:
        """The recording's detections."""
        return self.aggregate / f"{recording_id}.parquet"

    def effort(self, recording_id: str) -> Path:
        """The recording's chunks with status and seconds analysed."""
        return self.artifacts / "effort" / f"{recording_id}.parquet"

    def speech(self, recording_id: str) -> Path:
        """Where people speak in the recording, as JSON, where that is searched for."""
        return self.artifacts / "speech" / f"{recording_id}.json"

    def bundle(self, recording_id: str) -> BundlePaths:
        """The recording's report bundle."""
        return BundlePaths(self.aggregate / recording_id)

    def failure(self, recording_id: str) -> Path:
        """Why the recording's last attempt failed (`recordings/failures.py`), as JSON."""
        return self.artifacts / "failures" / f"{recording_id}.json"

    def fingerprints(self, recording_id: str) -> Path:
        """What the recording's outputs were made from (`stages/fingerprint_files.py`), as JSON."""
        return self.artifacts / "fingerprints" / f"{recording_id}.json"

    @property
    def work_folder(self) -> Path:
        """Locks and journals of what is in work (`stages/work.py`): no results, never tracked."""
        chosen = expand_home(self.settings.work.folder)
        if not chosen.is_absolute():
            return self.root / chosen
        # Several datasets may share a folder on a local disk.
        root = self.root.resolve()  # one folder, whatever links lead to the dataset
        return chosen / f"{root.name}-{sha256_bytes(os.fsencode(root))[:8]}"

    @property
    def corpus(self) -> CorpusPaths:
        """The corpus database and report."""
        return CorpusPaths(self.artifacts / "corpus")

    def export(self, form: str) -> Path:
        """Folder of the results in a form that other programs read (`exports/formats.py`)."""
        return self.artifacts / "exports" / form

    @property
    def reviews(self) -> ReviewPaths:
        """Queues of detections to be checked, and what verdicts say of the detector."""
        return ReviewPaths(self.root)

    @property
    def inference(self) -> InferencePaths:
        """Files of chunks; journals are in the work folder (`stages/work.py`)."""
        return InferencePaths(self.artifacts / "infer")

    def telemetry(self, name: str) -> Path:
        """An inference telemetry log."""
        return self.artifacts / "telemetry" / "infer" / f"{name}.jsonl"
