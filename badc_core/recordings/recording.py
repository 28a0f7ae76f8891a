"""The description of a recording, and its file.

Its fields come from `naming.py`, `guano.py`, `audiomoth.py`, `clock.py` and `quality.py`;
`describe.py` puts them together.
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import require_fetched
from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.json_texts import parse_object
from badc_core.outcomes import for_each
from badc_core.recordings.channels import ChannelFigures, Level, shared_stretches
from badc_core.recordings.constant_runs import Stretches
from badc_core.validation import explain_invalid

SCHEMA_VERSION = 1

_LEVELS = ("rms_dbfs", "peak_dbfs")


@dataclass(frozen=True)
class Recording:
    """A readable recording.

    Attributes:
        recording_id: its name in the dataset.
        path: relative to the dataset's root, with forward slashes, never a link's target.
        sha256: of the whole file, hex.
        n_samples: decoded length per channel.
        rms_dbfs, peak_dbfs: level against full scale; -inf for digital silence, which is null in
            the file, since JSON has no infinity.
        clipped_fraction: share of samples at full scale, 0 to 1.
        is_silent: every sample is below -90 dBFS.
        start_local: local time at the station, without a zone: what the recorder's clock showed,
            or, if that is known to have run in another zone, the same moment in the station's.
        start_utc: timezone-aware; None when the zone is not known.
        utc_offset_min: `start_local` minus UTC at the start.
        sources: field -> source of its value (deployments, guano, audiomoth, wamd, filename,
            bext, path, settings).
        comments: everything in the file's header that has no field of its own.
        warnings: one sentence each.
        channels: figures of each channel.
        is_truncated: it was cut off, and what is left of it was accepted.
    """

    recording_id: str
    path: str
    size_bytes: int
    sha256: str
    fingerprint: str
    audio_format: str
    subtype: str
    sample_rate_hz: int
    n_channels: int
    n_samples: int
    rms_dbfs: Level
    peak_dbfs: Level
    clipped_fraction: float
    is_silent: bool
    study_area: str | None = None
    location: str | None = None
    start_local: datetime | None = None
    start_utc: datetime | None = None
    utc_offset_min: int | None = None
    timezone: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    elevation_m: float | None = None
    device_make: str | None = None
    device_model: str | None = None
    device_serial: str | None = None
    firmware: str | None = None
    gain: str | None = None
    battery_v: float | None = None
    temperature_c: float | None = None
    sources: dict[str, str] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    channels: tuple[ChannelFigures, ...] = field(kw_only=True)
    is_truncated: bool = False

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate_hz

    def write(self, path: Path) -> None:
        """Writes the recording as JSON, replacing what was there."""
        content: dict[str, Any] = {"schema": SCHEMA_VERSION, **dataclasses.asdict(self)}
        for levels in (content, *content["channels"]):
            for name in _LEVELS:
                levels[name] = levels[name] if math.isfinite(levels[name]) else None
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=_to_json)
        write_text(path, f"{text}\n")


def dead_stretches(recording: Recording, channel: int | None = None) -> Stretches:
    """Returns where nothing was recorded: half-open intervals of samples, in order.

    Args:
        recording: its description.
        channel: which one is analysed, from 0; None: the mean of all, which is only dead where
            all are.
    """
    if channel is not None:
        return recording.channels[channel].dead_stretches
    own = [one.dead_stretches for one in recording.channels]
    return shared_stretches(own, recording.sample_rate_hz)


_DESCRIPTION = TypeAdapter(Recording)


def read_recording(path: Path) -> Recording:
    """Returns the recording in a file that `Recording.write` wrote.

    Raises:
        DatasetInvalid: absent, malformed, of another schema version, or of another recording than
            the one the file is named for.
        ContentMissing: it is annexed, and its content is not here.
    """
    remedy = "Describe it again: badc run DATASET"
    require_fetched(path)
    try:
        content = parse_object(path.read_text(encoding="utf-8"))
        if (version := content["schema"]) != SCHEMA_VERSION:
            raise DatasetInvalid(f"schema {version}, expected {SCHEMA_VERSION}", path, remedy)
        recording = _DESCRIPTION.validate_python(content)
    except FileNotFoundError as error:
        what = "the recording has not been described yet"
        raise DatasetInvalid(what, path, "Describe it: badc run DATASET") from error
    except ValidationError as error:
        what = f"not a recording description ({explain_invalid(error)})"
        raise DatasetInvalid(what, path, remedy) from error
    except (ValueError, KeyError) as error:
        raise DatasetInvalid(f"not a recording description ({error})", path, remedy) from error
    if path.name != f"{recording.recording_id}.json":
        what = f"this is the description of another recording, {recording.recording_id}"
        raise DatasetInvalid(what, path, remedy)
    return recording


def total_audio_s(dataset: Dataset, recording_ids: Iterable[str]) -> float:
    """Returns the seconds of sound in recordings, leaving out those with a damaged description."""
    described = for_each(
        recording_ids, lambda one: read_recording(dataset.recording(one)).duration_s
    )
    return sum(outcome.value or 0.0 for outcome in described)


def _to_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
