"""Every column BADC writes about detections and effort: the one place for names and types.

Files are written by `store.py`; the documentation's column tables are made from here.
Which run made a file is in the asset graph, not in the file: equal inputs give equal bytes.
"""

import hashlib

import pyarrow as pa

from badc_core.columns import Column, arrow_schema

SCHEMA_VERSION = 3

_TEXT = pa.string()
_LABEL = pa.dictionary(pa.int32(), pa.string())
_MS = pa.int64()
_UTC = pa.timestamp("ms", tz="UTC")
_LOCAL = pa.timestamp("ms")
_LEFT_OUT = pa.list_(pa.struct([("label_name", pa.string()), ("detections", pa.int64())]))
_INTERVALS = pa.list_(pa.struct([("start_ms", _MS), ("end_ms", _MS)]))

DETECTION_COLUMNS: tuple[Column, ...] = (
    Column("recording_id", _LABEL, "The recording.", nullable=False),
    Column("chunk_id", _LABEL, "The chunk it was found in.", nullable=False),
    Column("chunk_start_ms", _MS, "Chunk start, ms from the recording's start.", nullable=False),
    Column("chunk_end_ms", _MS, "Chunk end, ms from the recording's start.", nullable=False),
    Column("timestamp_ms", _MS, "Detection start, ms from the chunk's start.", nullable=False),
    Column("absolute_time_ms", _MS, "Detection start, ms from recording start.", nullable=False),
    Column("end_ms", _MS, "Detection end, ms from the chunk's start.", nullable=False),
    Column("absolute_end_ms", _MS, "Detection end, ms from the recording's start.", nullable=False),
    Column("label", _LABEL, "Species or sound: code if there is one, else name.", nullable=False),
    Column("label_code", _LABEL, "The detector's code for it."),
    Column("label_name", _LABEL, "Common name.", nullable=False),
    Column("confidence", pa.float64(), "The detector's score, 0 to 1.", nullable=False),
    Column("status", _LABEL, "Status of the chunk: ok.", nullable=False),
    Column("runner", _LABEL, "The detector.", nullable=False),
    Column("model_version", _LABEL, "The detector's version.", nullable=False),
    Column("chunk_sha256", _LABEL, "Identity of the chunk's audio, hex.", nullable=False),
    Column("source_path", _LABEL, "Audio file, relative to the dataset.", nullable=False),
    Column("dataset_root", _LABEL, "Name of the dataset's folder.", nullable=False),
    Column("detection_id", _TEXT, "SHA-1 of recording, times, label and model.", nullable=False),
    Column("is_detection", pa.bool_(), "True; placeholder rows are not stored.", nullable=False),
    Column("study_area", _LABEL, "Study area of the station."),
    Column("location", _LABEL, "Station."),
    Column("recording_start_local", _LOCAL, "Local time at the station when the recording starts."),
    Column("recording_start_utc", _UTC, "The recording's start in UTC."),
    Column("detection_utc", _UTC, "The detection's start in UTC."),
    Column("lat", pa.float64(), "Latitude of the station, degrees north."),
    Column("lon", pa.float64(), "Longitude of the station, degrees east."),
    Column("scientific_name", _LABEL, "Scientific name; missing for other sounds."),
    Column("ebird_code", _LABEL, "eBird species code."),
    Column("min_freq_hz", pa.float64(), "Lowest frequency, where the detector gives one."),
    Column("max_freq_hz", pa.float64(), "Highest frequency, where the detector gives one."),
    Column("n_merged", pa.int32(), "Detections merged into this one.", nullable=False),
    Column("is_expected", pa.bool_(), "Whether the species is expected there and then."),
    Column("occurrence", pa.float64(), "Expected occurrence there and then, 0 to 1."),
    Column(
        "calibrated_p", pa.float64(), "Probability of being right, 0 to 1; missing without a curve."
    ),
    Column("model_sha256", _LABEL, "SHA-256 of the model file, hex."),
    Column("config_hash", _LABEL, "Fingerprint of the detector's settings.", nullable=False),
)

EFFORT_COLUMNS: tuple[Column, ...] = (
    Column("recording_id", _LABEL, "The recording.", nullable=False),
    Column("chunk_id", _TEXT, "The chunk.", nullable=False),
    Column("chunk_start_ms", _MS, "Chunk start, ms from the recording's start.", nullable=False),
    Column("chunk_end_ms", _MS, "Chunk end, ms from the recording's start.", nullable=False),
    Column("overlap_ms", _MS, "Shared with the chunk before.", nullable=False),
    Column("status", _LABEL, "ok, no_detections, error; stub: no model ran.", nullable=False),
    Column("detections", pa.int64(), "Detections kept that begin in it.", nullable=False),
    Column("effort_s", pa.float64(), "Seconds of sound really analysed.", nullable=False),
    Column("error", _TEXT, "Why it failed."),
    Column("dead_s", pa.float64(), "Seconds in which nothing was recorded; no effort."),
    Column("not_analysed", _INTERVALS, "Where there is no effort, from the recording's start."),
    Column("left_out", _LEFT_OUT, "Left out by `detector.range`: not expected there and then."),
)


def make_detection_id(
    recording_id: str, start_ms: int, end_ms: int, label: str, runner: str, model_version: str
) -> str:
    """Returns a row's `detection_id`, from the columns of those names and the absolute times."""
    parts = (recording_id, start_ms, end_ms, label, runner, model_version)
    return hashlib.sha1("\x1f".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


DETECTIONS = arrow_schema(DETECTION_COLUMNS)
EFFORT = arrow_schema(EFFORT_COLUMNS)
