"""What exported files were made from: written beside them, since formats have no room for it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from badc_core.atomic import writing_text
from badc_core.csv_tables import write_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.exports.rows import SourceRecording
from badc_core.exports.source import ExportSource
from badc_core.hashing import sha256_file
from badc_core.json_texts import parse_object
from badc_core.lineage.detectors_used import DetectorUsed, read_corpus_detectors
from badc_core.provenance.history import find_commit
from badc_core.stages.fingerprint_files import read_stored
from badc_core.stages.step_records import CORPUS_DETECTIONS

PROVENANCE = "provenance.json"
RECORDINGS = "recordings.csv"
KIND = "badc export"
_COLUMNS = (
    *("recording_id", "path", "sha256", "study_area", "location", "start_local", "start_utc"),
    *("duration_s", "analysed_s", "detections"),
)


def detectors_by_hash(dataset: Dataset) -> Mapping[str, DetectorUsed]:
    """Returns config_hash -> the detector and settings behind it."""
    return {one.config_hash: one for one in read_corpus_detectors(dataset).detectors}


def write_provenance(source: ExportSource, form: str, folder: Path) -> None:
    """Writes what the files in a folder were made from, and how much of each recording it is."""
    with writing_text(folder / RECORDINGS) as file:
        write_rows(file, _COLUMNS, (_row(source, one) for one in source.recordings))
    dataset = source.dataset
    used = read_corpus_detectors(dataset)
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    commit = find_commit(dataset.corpus.duckdb)
    content: dict[str, Any] = {
        "kind": KIND,
        "format": form,
        "badc": version("badc"),
        "dataset": dataset.name,
        "selection": _given(asdict(source.selection)),
        "recordings": len(source.recordings),
        "detections": sum(n for n, _ in source.tallies.values()),
        "left_out": source.notes,
        "detectors": [asdict(one) for one in used.detectors],
        "corpus": {"fingerprint": _fingerprint(dataset), "commit": commit and asdict(commit)},
        "not_known": used.unknown,
        "files": {one.relative_to(folder).as_posix(): sha256_file(one) for one in files},
    }
    with writing_text(folder / PROVENANCE) as file:
        file.write(f"{json.dumps(content, indent=1, ensure_ascii=False)}\n")


def read_names(folder: Path) -> set[str]:
    """Returns the files that an export in a folder says it has; none where there is no export."""
    try:
        content = parse_object((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {*content["files"], PROVENANCE} if content.get("kind") == KIND else set()


def _row(source: ExportSource, one: SourceRecording) -> tuple[object, ...]:
    n_found, analysed_ms = source.tallies.get(one.recording_id, (0, 0))
    return (
        *(one.recording_id, one.path, one.sha256, one.study_area, one.location),
        *(one.start_local, one.start_utc and one.start_utc.isoformat()),
        *(round(one.duration_s, 3), analysed_ms / 1000, n_found),
    )


def _fingerprint(dataset: Dataset) -> str:
    """Returns what the corpus was made from; empty where nobody wrote it down."""
    with suppress(DatasetInvalid):
        stored = read_stored(dataset.corpus.fingerprints, "")
        return stored[CORPUS_DETECTIONS].fingerprint if CORPUS_DETECTIONS in stored else ""
    return ""


def _given(selection: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in selection.items() if value not in (None, (), False)}
