"""Which output of a dataset a file is: by its path, or else by the record of its commit."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from badc_core.chunks.source import find_dataset
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.file_names import absolute
from badc_core.provenance.history import find_commit
from badc_core.recordings.registry import Registry, read_registry
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT

AUDIO, REGISTRY, CHUNK_FILE, OTHER = "audio", "recordings", "chunk file", "other"


@dataclass(frozen=True)
class ResultFile:
    """A file of a dataset.

    Attributes:
        path: absolute, links kept.
        dataset: that it is in.
        made_by: the stage or asset that writes it; or `audio`, `recordings`, `chunk file`, `other`.
        recording_id: whose; empty for a file about all recordings.
        what: it is, in words.
    """

    path: Path
    dataset: Dataset
    made_by: str
    recording_id: str
    what: str

    @property
    def below_root(self) -> str:
        """Its path in the dataset."""
        return self.dataset.below(self.path)


def name_result_file(path: Path) -> ResultFile:
    """Returns which output of which dataset a file is.

    Raises:
        DatasetInvalid: there is no such file, it is in no dataset, or BADC did not write it.
    """
    path = absolute(path)
    if not os.path.lexists(path):
        raise DatasetInvalid("there is no such file", path, "Correct the path")
    dataset = find_dataset(path)
    if dataset is None:
        what = "it is in no dataset, so nothing is known of it"
        raise DatasetInvalid(what, path, "Give a file inside a dataset that BADC analysed")
    registry = read_registry(dataset.registry)
    for made_by, example, what in _places(dataset):
        part = _part_below(path, example.parent)
        recording_id = part.removesuffix(example.name[1:])
        if part.endswith(example.name[1:]) and recording_id in registry:
            return ResultFile(path, dataset, made_by, recording_id, f"{what} of {recording_id}")
    return _name_other(path, dataset, registry)


def _places(dataset: Dataset) -> Iterator[tuple[str, Path, str]]:
    """Yields what stages write about the recording `x`: stage, path, what it is."""
    bundle = dataset.bundle("x")
    yield "recording", dataset.recording("x"), "description"
    yield "chunk_manifest", dataset.manifest("x"), "chunk manifest"
    yield "raw_detections", dataset.raw_detections("x"), "raw detections"
    yield "detections", dataset.effort("x"), "effort"
    yield "report_bundle", dataset.speech("x"), "speech"
    yield "report_bundle", bundle.html, "report page"
    yield "report_bundle", bundle.quicklook, "quicklook table"
    yield "report_bundle", bundle.parquet_report, "report table"
    yield "report_bundle", bundle.duckdb_exports, "exported view"
    yield "report_bundle", bundle.duckdb, "database"
    yield "detections", dataset.detections("x"), "detections"
    yield "detections", dataset.aggregate / "x_summary.csv", "table by hand"
    yield CHUNK_FILE, dataset.inference.recording("x"), "file of a chunk"
    yield "recording", dataset.chunk_files("x"), "sound or status of the chunks"
    yield AUDIO, dataset.failure("x"), "last failure"
    yield AUDIO, dataset.fingerprints("x"), "list of what the outputs were made from"


def _part_below(path: Path, folder: Path) -> str:
    """Returns the part of a path that follows a folder; empty where it is not in there."""
    return path.relative_to(folder).parts[0] if path.is_relative_to(folder) else ""


def _name_other(path: Path, dataset: Dataset, registry: Registry) -> ResultFile:
    below = dataset.below(path)
    if below in registry.by_path:
        recording_id = registry.by_path[below].recording_id
        return ResultFile(path, dataset, AUDIO, recording_id, f"sound of {recording_id}")
    if path == dataset.registry:
        return ResultFile(path, dataset, REGISTRY, "", "table of all recordings")
    corpus = dataset.corpus
    if path == corpus.html or path.parent in corpus.page_folders:
        return ResultFile(path, dataset, CORPUS_REPORT, "", "page about all recordings")
    in_parts = any(path.is_relative_to(one) for one in (corpus.summary, *corpus.part_folders))
    if in_parts or path in (corpus.duckdb, corpus.parts):
        return ResultFile(path, dataset, CORPUS_DETECTIONS, "", "results of all recordings")
    for place, what in (
        (dataset.telemetry("x").parent.parent, "telemetry: what runs measured"),
        (dataset.export("x").parent, "results for another program, or what they were made from"),
        (dataset.corpus.folder, "list of what the results of all recordings were made from"),
        (dataset.aggregate, "table or report that was made by hand"),
        (dataset.reviews.folder, "queue of detections to judge, or what verdicts say"),
        (dataset.reviews.verdict_files, "verdicts of people"),
        (dataset.reviews.applied_thresholds, "table of thresholds, for the settings to name"),
        (dataset.reviews.applied_calibration, "table of curves, for the settings to name"),
    ):
        if path.is_relative_to(place):
            return ResultFile(path, dataset, OTHER, "", what)
    commit = find_commit(path)
    if commit is not None and commit.command:
        return ResultFile(path, dataset, OTHER, "", "file that the command of its commit wrote")
    raise DatasetInvalid(
        "not a recording, nor a file that BADC is known to have written",
        path,
        "Give a report page, table, database, manifest or recording of the dataset",
    )
