"""Which detectors, with which settings, found what a file says; and where that is not known.

A row of detections has its detector and a `config_hash`. The settings behind that are only in the
recordings' own files of detections, which may be newer than the file that is asked about: their
word counts where their `config_hash` is the row's.
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from badc_core.annexed_files import require_fetched
from badc_core.corpus.database import query
from badc_core.corpus.reading import open_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import (
    DETECTOR_SETTINGS_KEY,
    FINGERPRINT_KEY,
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    count_rows,
    read_detections,
    read_metadata,
)
from badc_core.errors import BadcError
from badc_core.inference.chunk_output import read_chunk_json
from badc_core.inference.raw_result import read_raw_result
from badc_core.json_texts import parse_object
from badc_core.reports.page_detectors import read_detectors

_MODEL = ("runner", "model_version", "model_sha256", "config_hash")
_ROWS = """
    SELECT runner, model_version, model_sha256, config_hash,
        list(DISTINCT recording_id ORDER BY recording_id) AS recording_ids
    FROM {} GROUP BY ALL ORDER BY ALL
"""
_EMPTY = """
    SELECT recording_id FROM recordings ANTI JOIN detectors_by_recording USING (recording_id)
    ORDER BY ALL
"""


@dataclass(frozen=True)
class DetectorUsed:
    """What found detections.

    Attributes:
        name: of the detector; empty where it is not known, likewise
        version: its version.
        model_sha256: of the model file; empty for a detector without one, None where not known.
        settings: those that decided what is kept; nothing where they are not known.
        config_hash: of detector and settings, as in every row.
        licence: of the model, where results must name it; else empty.
    """

    name: str
    version: str
    model_sha256: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    config_hash: str = ""
    licence: str = ""


@dataclass(frozen=True)
class UsedIn:
    """What detected in one recording or many.

    Attributes:
        n_recordings: in a file about all recordings; else None.
        unknown: what could not be found out, and why.
    """

    detectors: tuple[DetectorUsed, ...] = ()
    unknown: tuple[str, ...] = ()
    n_recordings: int | None = None


def read_corpus_detectors(dataset: Dataset) -> UsedIn:
    """Returns what detected in the recordings of the corpus, those without detections included.

    Raises:
        ContentMissing: its content is not here.
        DatasetInvalid: it cannot be read.
    """
    with open_corpus(dataset) as connection:
        (counted,) = query(connection, "SELECT count(*) AS n FROM recordings")
        rows = query(connection, _ROWS.format("detectors_by_recording"))
        empty = [one["recording_id"] for one in query(connection, _EMPTY)]
    used, left = _read_empty(dataset, empty)
    unknown = _explain_empty(dataset, left)
    for row in rows:
        own = used.get(row["config_hash"]) or _find_own(dataset, row)
        unknown += [] if own else [_explain_settings(dataset, row)]
        used[row["config_hash"]] = own or _from_row(row)
    return UsedIn(tuple(used.values()), tuple(unknown), counted["n"])


def read_page_detectors(dataset: Dataset, recording_id: str) -> UsedIn:
    """Returns what detected in a recording according to its report, which may be older.

    Raises:
        ContentMissing: the recording's detections are not here.
        DetectionsInvalid: they cannot be read.
    """
    own = read_recording_detectors(dataset, recording_id)
    try:
        rows = read_detectors(dataset.bundle(recording_id).html)
    except BadcError as error:
        what = f"whether the report is of the detections there are now is not known: {error}"
        return UsedIn(own.detectors, (*own.unknown, what))
    is_empty = count_rows(dataset.detections(recording_id)) == 0
    hashes = set() if is_empty else {one.config_hash for one in own.detectors}
    if {row["config_hash"] for row in rows} == hashes:
        return own
    what = "the report is older than the detections, and its settings are not known"
    return UsedIn(
        tuple(map(_from_row, rows)), (f"{what}. Run: badc run {shlex.quote(str(dataset.root))}",)
    )


def read_recording_detectors(dataset: Dataset, recording_id: str) -> UsedIn:
    """Returns what detected in a recording, as its own file of detections says.

    Raises:
        ContentMissing: its content is not here.
        DetectionsInvalid: there is none, or it cannot be read.
    """
    path = dataset.detections(recording_id)
    stored = read_metadata(path)
    if FINGERPRINT_KEY in stored:
        return UsedIn((_from_metadata(dataset, recording_id, stored),))
    return read_gathered_detectors(path)


def read_gathered_detectors(path: Path) -> UsedIn:
    """Returns what detected in the chunks whose detections were gathered into a table.

    Raises:
        ContentMissing: its content is not here.
        DetectionsInvalid: it cannot be read.
    """
    stored, table = read_metadata(path), read_detections(path)
    columns = [table[name].to_pylist() for name in _MODEL]
    rows = [
        dict(zip(_MODEL, row, strict=True)) for row in dict.fromkeys(zip(*columns, strict=True))
    ]
    if not rows and RUNNER_KEY in stored:
        model = stored[RUNNER_KEY], stored.get(MODEL_VERSION_KEY, "")
        rows = [dict(zip(_MODEL, (*model, None, ""), strict=True))]
    # In a row nothing stands both for no model file and for one that is not known.
    used = [_from_row(row, stored.get(MODEL_SHA256_KEY)) for row in rows]
    what = "the settings are" if any(one.name for one in used) else "detector and settings are"
    return UsedIn(tuple(used), (f"{path}: gathered from files of chunks, so {what} not known",))


def read_chunk_detectors(path: Path) -> UsedIn:
    """Returns what detected in a chunk; nothing of a file that is not JSON.

    Raises:
        ContentMissing: its content is not here.
        DetectionsInvalid: it cannot be read.
    """
    require_fetched(path)
    if path.suffix != ".json":
        return UsedIn()
    output = read_chunk_json(path)
    used = output.runner, output.model_version, output.model_sha256
    return UsedIn((DetectorUsed(*used, config_hash=output.origin.config_hash),))


def _find_own(dataset: Dataset, row: Mapping[str, Any]) -> DetectorUsed | None:
    """Returns what a recording's own file says of the `config_hash` of a row; None if none does."""
    for one in row["recording_ids"]:
        with suppress(BadcError):
            stored = read_metadata(dataset.detections(one))
            if stored.get(FINGERPRINT_KEY) == row["config_hash"]:
                return _from_metadata(dataset, one, stored)
    return None


def _read_empty(
    dataset: Dataset, recording_ids: Sequence[str]
) -> tuple[dict[str, DetectorUsed], list[str]]:
    """Returns what detected nothing, by `config_hash`, and in which recordings it is not known."""
    used: dict[str, DetectorUsed] = {}
    left = []
    for one in recording_ids:
        stored: Mapping[str, str] = {}
        with suppress(BadcError):
            path = dataset.detections(one)
            stored = {} if count_rows(path) else read_metadata(path)
        config_hash = stored.get(FINGERPRINT_KEY)
        if config_hash is None:
            left.append(one)
        elif config_hash not in used:
            used[config_hash] = _from_metadata(dataset, one, stored)
    return used, left


def _explain_settings(dataset: Dataset, row: Mapping[str, Any]) -> str:
    what = f"the settings of {row['runner']} with config_hash {row['config_hash']} are not known"
    return f"{what}: no detections made with them are in {_folder(dataset)}"


def _explain_empty(dataset: Dataset, left: Sequence[str]) -> list[str]:
    if not left:
        return []
    others = f" and {len(left) - 1} more" if left[1:] else ""
    why = f"{_folder(dataset)} has no such file, or a newer one than the corpus"
    return [f"which detector found nothing in {left[0]}{others} is not known: {why}"]


def _folder(dataset: Dataset) -> Path:
    """Returns where the recordings' own detections are."""
    return dataset.detections("x").parent


def _from_metadata(dataset: Dataset, recording_id: str, stored: Mapping[str, str]) -> DetectorUsed:
    return DetectorUsed(
        stored.get(RUNNER_KEY, ""),
        stored.get(MODEL_VERSION_KEY, ""),
        stored.get(MODEL_SHA256_KEY),
        parse_object(stored.get(DETECTOR_SETTINGS_KEY, "{}")),
        stored[FINGERPRINT_KEY],
        _read_licence(dataset, recording_id),
    )


def _from_row(row: Mapping[str, Any], no_sha256: str | None = None) -> DetectorUsed:
    return DetectorUsed(
        row["runner"],
        row["model_version"],
        row["model_sha256"] or no_sha256,
        config_hash=row["config_hash"],
    )


def _read_licence(dataset: Dataset, recording_id: str) -> str:
    with suppress(BadcError):
        raw = read_raw_result(dataset.raw_detections(recording_id), recording_id)
        return raw.detector.licence
    return ""
