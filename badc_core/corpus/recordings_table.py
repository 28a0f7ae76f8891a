"""The table `recordings` of a report database, from descriptions."""

from collections.abc import Sequence

import pyarrow as pa

from badc_core.recordings.recording import Recording

_CHANNEL = pa.struct(
    [
        (name, pa.float64())
        for name in (
            *("rms_dbfs", "peak_dbfs", "dc_offset", "clipped_fraction"),
            *("longest_constant_s", "dead_s"),
        )
    ]
)

RECORDINGS = pa.schema(
    [
        ("recording_id", pa.string()),
        ("path", pa.string()),
        ("study_area", pa.string()),
        ("location", pa.string()),
        ("start_local", pa.timestamp("ms")),
        ("start_utc", pa.timestamp("ms", tz="UTC")),
        ("utc_offset_min", pa.int32()),
        ("timezone", pa.string()),
        ("duration_s", pa.float64()),
        ("n_samples", pa.int64()),
        ("sample_rate_hz", pa.int64()),
        ("n_channels", pa.int32()),
        ("audio_format", pa.string()),
        ("size_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("rms_dbfs", pa.float64()),
        ("peak_dbfs", pa.float64()),
        ("clipped_fraction", pa.float64()),
        ("is_silent", pa.bool_()),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
        ("elevation_m", pa.float64()),
        ("device_make", pa.string()),
        ("device_model", pa.string()),
        ("device_serial", pa.string()),
        ("temperature_c", pa.float64()),
        ("battery_v", pa.float64()),
        ("warnings", pa.list_(pa.string())),
        ("channels", pa.list_(_CHANNEL)),
    ]
)

_RENAMED = {"lat": "latitude", "lon": "longitude"}


def recordings_table(recordings: Sequence[Recording]) -> pa.Table:
    """Returns recordings as a table by `RECORDINGS`."""
    rows = [
        {name: getattr(one, _RENAMED.get(name, name)) for name in RECORDINGS.names}
        | {"channels": _channels(one)}
        for one in recordings
    ]
    return pa.Table.from_pylist(rows, schema=RECORDINGS)


def _channels(recording: Recording) -> list[dict[str, float]]:
    return [
        {**vars(one), "dead_s": one.dead_samples / recording.sample_rate_hz}
        for one in recording.channels
    ]
