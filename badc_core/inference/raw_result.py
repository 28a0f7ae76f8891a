"""Everything a detector found in one recording down to the score floor, and its file.

The file is one Parquet table of detections; what became of each chunk is in its metadata. Which
detections are kept, and how, is decided later, in `select.py`. Which worker did what, and how
long it took, is in the telemetry: equal inputs give equal bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from badc_core.annexed_files import require_fetched
from badc_core.atomic import replacing
from badc_core.audio.channel import MEAN, Channel
from badc_core.chunks.plan import Chunk
from badc_core.columns import Column, arrow_schema, write_parquet
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.engine import protocol
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import ContentMissing, RawDetectionsInvalid
from badc_core.intervals import length_of
from badc_core.json_texts import parse_object

SCHEMA_VERSION = 1

_SCHEMA_KEY = b"badc.raw_schema"
_RAW_KEY = b"badc.raw"
_REMEDY = "Detect in the recording again: badc run DATASET"
_TEXT = pa.dictionary(pa.int32(), pa.string())

RAW_COLUMNS: tuple[Column, ...] = (
    Column("chunk", pa.int32(), "Number of the chunk, from 0.", nullable=False),
    Column("start_sample", pa.int64(), "Start, from the recording's start.", nullable=False),
    Column("end_sample", pa.int64(), "One past the last sample.", nullable=False),
    Column("confidence", pa.float64(), "The detector's score, 0 to 1.", nullable=False),
    Column("label_name", _TEXT, "Common name.", nullable=False),
    Column("label_code", _TEXT, "The detector's code, or empty.", nullable=False),
    Column("scientific_name", _TEXT, "Scientific name, or empty.", nullable=False),
    Column("is_expected", pa.bool_(), "The detector's own mark for place and date."),
    Column("occurrence", pa.float64(), "The detector's own occurrence, 0 to 1."),
)

_RAW = arrow_schema(RAW_COLUMNS)
_BESIDE_CHUNK = {"key", "error", "channel", "not_analysed"}


@dataclass(frozen=True)
class RawResult:
    """What detecting in one recording gave.

    Attributes:
        detector: that found it.
        results: of the chunks, in order.
        floor: weaker detections are left out.
        is_final: whether so few chunks failed that they are not tried again.
        keys: of the chunks in journals, by which a later run recognises them.
        model_hash: of what decided what the model gave.
    """

    detector: DetectorIdentity
    results: tuple[ChunkResult, ...]
    floor: float
    is_final: bool = True
    keys: tuple[str, ...] = field(default=(), repr=False)
    model_hash: str = ""

    @property
    def channel(self) -> Channel:
        """Which channel of the recording was analysed."""
        return self.results[0].task.channel

    @property
    def not_analysed_s(self) -> float:
        """Seconds of digital silence that the model cannot score."""
        gaps = (gap for one in self.results for gap in one.not_analysed)
        return length_of(gaps) / self.results[0].chunk.sample_rate_hz

    @property
    def failed(self) -> tuple[ChunkResult, ...]:
        """The chunks without a result."""
        return tuple(one for one in self.results if one.error is not None)

    @property
    def n_resumed(self) -> int:
        """How many chunks an earlier run had analysed."""
        return sum(one.is_resumed for one in self.results)

    @property
    def n_retries(self) -> int:
        """How often a chunk was tried again."""
        return sum(one.attempt - 1 for one in self.results)

    @property
    def n_detections(self) -> int:
        """How many detections there are, weak ones included."""
        return sum(len(one.detections) for one in self.results)

    @property
    def audio_s(self) -> float:
        """Seconds of sound in the chunks whose runtime is known."""
        return sum(one.chunk.duration_s for one in self.results if one.runtime_s and not one.error)

    @property
    def detector_s(self) -> float:
        """Seconds that workers spent, summed over chunks."""
        return sum(one.runtime_s for one in self.results)

    @property
    def workers(self) -> tuple[str, ...]:
        """Labels of the workers involved, sorted."""
        return tuple(sorted({one.worker for one in self.results if one.worker}))

    @property
    def peak_rss_mib(self) -> float:
        """Of the largest worker involved."""
        return max(one.peak_rss_mib for one in self.results)

    def write(self, path: Path) -> None:
        """Writes the file, replacing what was there.

        Raises:
            StorageFull, OutputUnwritable: it cannot be written.
        """
        content = {
            "detector": asdict(self.detector),
            "floor": self.floor,
            "is_final": self.is_final,
            "model_hash": self.model_hash,
            "chunks": [
                _chunk_to_json(one, key) for one, key in zip(self.results, self.keys, strict=True)
            ],
        }
        metadata = {_SCHEMA_KEY: str(SCHEMA_VERSION), _RAW_KEY: json.dumps(content)}
        table = pa.table(_columns(self.results), schema=_RAW).replace_schema_metadata(metadata)
        with replacing(path) as aside:
            write_parquet(table, aside)


def read_raw_result(path: Path, recording_id: str) -> RawResult:
    """Returns the result in a file; its chunks count as resumed.

    Raises:
        RawDetectionsInvalid: absent, corrupt, of another schema or another recording.
        ContentMissing: it is annexed, and its content is not here.
    """
    require_fetched(path)
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            version = metadata.get(_SCHEMA_KEY, b"none").decode()
            if version != str(SCHEMA_VERSION):
                what = f"follows schema {version}, expected {SCHEMA_VERSION}"
                raise RawDetectionsInvalid(what, path, _REMEDY)
            content = parse_object(metadata[_RAW_KEY])
            rows = file.read().to_pydict()
        raw = _raw_result(content, rows)
    except FileNotFoundError as error:
        raise RawDetectionsInvalid("there is no such file", path, _REMEDY) from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise RawDetectionsInvalid(f"not a readable file ({error})", path, _REMEDY) from error
    strangers = {one.chunk.recording_id for one in raw.results} - {recording_id}
    if strangers:
        what = f"has detections of recording {min(strangers)}"
        raise RawDetectionsInvalid(what, path, _REMEDY)
    return raw


def known_in_raw_result(path: Path, recording_id: str, floor: float) -> dict[str, ChunkResult]:
    """Returns the good results in a file, by key; none where there is no such file here.

    So a change of other chunks, or of the place, runs no model.
    """
    try:
        raw = read_raw_result(path, recording_id)
    except (RawDetectionsInvalid, ContentMissing):
        return {}
    results = zip(raw.keys, raw.results, strict=True) if raw.floor <= floor else ()
    return {key: one for key, one in results if one.error is None}


def _columns(results: Sequence[ChunkResult]) -> dict[str, list[Any]]:
    found = [(number, one) for number, it in enumerate(results) for one in it.detections]
    return {
        "chunk": [number for number, _ in found],
        "start_sample": [one.start_sample for _, one in found],
        "end_sample": [one.end_sample for _, one in found],
        "confidence": [one.confidence for _, one in found],
        "label_name": [one.label.name for _, one in found],
        "label_code": [one.label.code for _, one in found],
        "scientific_name": [one.label.scientific_name for _, one in found],
        "is_expected": [one.is_expected for _, one in found],
        "occurrence": [one.occurrence for _, one in found],
    }


def _raw_result(content: dict[str, Any], rows: dict[str, list[Any]]) -> RawResult:
    found: list[list[Detection]] = [[] for _ in content["chunks"]]
    labels: dict[tuple[str, ...], Label] = {}
    for number, start, end, confidence, *names, is_expected, occurrence in zip(
        *rows.values(), strict=True
    ):
        label = labels.setdefault(tuple(names), Label(*names))
        found[number].append(Detection(start, end, label, confidence, is_expected, occurrence))
    return RawResult(
        DetectorIdentity.from_json(content["detector"]),
        tuple(
            _chunk_from_json(one, tuple(own), content["floor"])
            for one, own in zip(content["chunks"], found, strict=True)
        ),
        content["floor"],
        content["is_final"],
        tuple(one["key"] for one in content["chunks"]),
        content["model_hash"],
    )


def _chunk_to_json(result: ChunkResult, key: str) -> dict[str, Any]:
    content: dict[str, Any] = {"key": key, **result.chunk.to_json()}
    if result.task.channel != MEAN:
        content["channel"] = result.task.channel
    if result.not_analysed:
        content["not_analysed"] = result.not_analysed
    if result.error is not None:
        content["error"] = protocol.error_to_json(result.error)
    return content


def _chunk_from_json(
    content: dict[str, Any], detections: tuple[Detection, ...], floor: float
) -> ChunkResult:
    fields = {name: it for name, it in content.items() if name not in _BESIDE_CHUNK}
    chunk = Chunk.from_json(fields)
    error = protocol.error_from_json(content["error"]) if "error" in content else None
    channel = content.get("channel", MEAN)
    task = ChunkTask(Path(), chunk.end_sample, chunk, channel=channel)
    gaps = protocol.intervals_from_json(content.get("not_analysed", []))
    return ChunkResult(
        *(task, detections, error, 0.0, ""), is_resumed=True, floor=floor, not_analysed=gaps
    )
