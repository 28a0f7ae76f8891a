"""The columns of a queue, and of the verdicts that people add to it.

A row has everything a verdict needs, so a file of verdicts stands without the queue and the corpus
that it came from.
"""

import pyarrow as pa

from badc_core.columns import Column, arrow_schema

_TEXT = pa.string()

QUEUE_COLUMNS: tuple[Column, ...] = (
    Column("detection_id", _TEXT, "The detection, as in the table of detections.", nullable=False),
    Column("recording_id", _TEXT, "The recording.", nullable=False),
    Column("source_path", _TEXT, "Audio file, relative to the dataset.", nullable=False),
    Column("study_area", _TEXT, "Study area of the station."),
    Column("location", _TEXT, "Station."),
    Column("local_time", _TEXT, "Local time at the station when the detection begins."),
    Column("start_s", pa.float64(), "Detection start, s from recording start.", nullable=False),
    Column("end_s", pa.float64(), "Detection end, s from the recording's start.", nullable=False),
    Column("label", _TEXT, "Species or sound: code if there is one, else name.", nullable=False),
    Column("label_name", _TEXT, "Common name.", nullable=False),
    Column("scientific_name", _TEXT, "Scientific name; missing for other sounds."),
    Column("score", pa.float64(), "The detector's score, 0 to 1.", nullable=False),
    Column("is_expected", pa.bool_(), "Whether the species is expected there and then."),
    Column("occurrence", pa.float64(), "Expected occurrence there and then, 0 to 1."),
    Column("clip", _TEXT, "Its sound, relative to the queue's folder.", nullable=False),
    Column("picture", _TEXT, "Its spectrogram, relative to the queue's folder.", nullable=False),
    Column("sampling_weight", pa.float64(), "How many it was drawn to represent."),
    Column("runner", _TEXT, "The detector.", nullable=False),
    Column("model_version", _TEXT, "The detector's version.", nullable=False),
    Column("config_hash", _TEXT, "Fingerprint of the detector's settings.", nullable=False),
)
VERDICT_COLUMNS: tuple[Column, ...] = (
    Column("verdict", _TEXT, "correct, incorrect or uncertain; empty: not judged yet."),
    Column("corrected_label", _TEXT, "What it is instead, if it is incorrect and you know."),
    Column("reviewer", _TEXT, "Who judged it."),
    Column("reviewed_at", _TEXT, "When, in UTC."),
)
REVIEW_COLUMNS = (*QUEUE_COLUMNS, *VERDICT_COLUMNS)
QUEUE_NAMES = tuple(one.name for one in QUEUE_COLUMNS)
REVIEW_NAMES = tuple(one.name for one in REVIEW_COLUMNS)

JUDGED_COLUMNS: tuple[Column, ...] = (
    Column("detection_id", _TEXT, "The detection when it was queued.", nullable=False),
    Column("recording_id", _TEXT, "The recording.", nullable=False),
    Column("label", _TEXT, "Species or sound.", nullable=False),
    Column("start_ms", pa.int64(), "Detection start, ms from recording start.", nullable=False),
    Column("end_ms", pa.int64(), "Detection end, ms from the recording's start.", nullable=False),
    Column("score", pa.float64(), "The detector's score, 0 to 1.", nullable=False),
    Column("weight", pa.float64(), "How many detections it represents; missing: none."),
    Column("verdict", _TEXT, "correct, incorrect, uncertain or disputed.", nullable=False),
    Column("corrected_label", _TEXT, "What it is instead.", nullable=False),
    Column("reviewers", pa.int64(), "How many people judged it.", nullable=False),
    Column("runner", _TEXT, "The detector.", nullable=False),
    Column("model_version", _TEXT, "The detector's version.", nullable=False),
    Column("is_kept", pa.bool_(), "Whether today's results have it.", nullable=False),
)
JUDGED = arrow_schema(JUDGED_COLUMNS)
