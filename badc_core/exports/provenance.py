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
from badc_core.provenance.history import find_commit
from badc_core.stages.export_outputs import KIND
from badc_core.stages.fingerprint_files import read_stored
from badc_core.stages.step_records import CORPUS_DETECTIONS

RECORDINGS = "recordings.csv"
_COLUMNS = (
    *("recording_id", "path", "sha256", "study_area", "location", "start_local", "start_utc"),
    *("duration_s", "analysed_s", "detections"),
)


def write_recordings(source: ExportSource, folder: Path) -> None:
    """Writes how much of each recording is in an export."""
    with writing_text(folder / RECORDINGS) as file:
        write_rows(file, _COLUMNS, (_row(source, one) for one in source.recordings))


class Provenance:
    """What an export is made from.

    Args:
        source: of the export, which was read to its end.
        form: its format.
    """

    def __init__(self, source: ExportSource, form: str) -> None:
        dataset, used = source.dataset, source.detectors
        commit = find_commit(dataset.corpus.duckdb)
        self._content: dict[str, Any] = {
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
        }

    def describe(self, files: Mapping[str, str], replaced: Mapping[str, str]) -> str:
        """Returns the text of `provenance.json`; arguments as in `ExportListing`."""
        more = {"replaced": replaced} if replaced else {}
        content = self._content | {"files": files} | more
        return f"{json.dumps(content, indent=1, ensure_ascii=False)}\n"


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
