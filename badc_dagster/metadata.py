"""The metadata of materialisations: how much, from what, how good, how fast, where.

Kept small: every event is stored twice and costs 26-32 ms.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import pyarrow as pa

from badc_core.audio.channel import MEAN, name_channel
from badc_core.chunks.manifest import MANIFEST_COLUMNS, Manifest
from badc_core.columns import Column
from badc_core.corpus.root import CorpusTotals
from badc_core.corpus.speech_tables import length_ms
from badc_core.hashing import sha256_file
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.gpu_figures import gpu_figures
from badc_core.inference.raw_result import RawResult
from badc_core.recordings.recording import Recording
from badc_core.recordings.registry import ScanOutcome
from badc_core.speech.find import MODEL
from badc_core.speech.stored import Segments
from badc_core.units import format_duration

_TOP_LABELS = 5
_MARKDOWN = re.compile(r"[|\\`*<\[]")
"""What would be more than text in a table, such as of a label of one's own model."""

_TOP_FOLDERS = 20
_TOP_CHANNELS = 16
_CHANNEL_HEADER = (
    *("channel", "rms dBFS", "peak dBFS", "offset %", "clipped %"),
    *("longest one value s", "dead s"),
)


def column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """Returns a table's schema as the UI shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                one.name,
                _type_name(one.type),
                one.meaning,
                constraints=dg.TableColumnConstraints(nullable=one.nullable),
            )
            for one in columns
        ]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.MarkdownMetadataValue:
    """Returns a small table."""
    return dg.MetadataValue.md(table_text(header, rows))


def table_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a small table in Markdown; its cells are texts, whatever is in them."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def commit_metadata(commit: str) -> dict[str, Any]:
    """Returns the commit that has an output; nothing where none was made."""
    return {"commit": commit} if commit else {}


def registry_metadata(outcome: ScanOutcome, n_new_keys: int, path: Path) -> dict[str, Any]:
    """Returns the metadata of the registry after a scan."""
    folders = Counter(str(PurePosixPath(one.path).parent) for one in outcome.registry)
    return {
        "dagster/row_count": outcome.total,
        "dagster/uri": path.as_uri(),
        "new_recordings": len(outcome.added),
        "new_partitions": n_new_keys,
        "changed": len(outcome.changed),
        "renamed": len(outcome.renamed),
        "missing": len(outcome.missing),
        "folders": table(("folder", "recordings"), folders.most_common(_TOP_FOLDERS)),
    }


def recording_metadata(recording: Recording) -> dict[str, Any]:
    """Returns the metadata of a recording."""
    level = recording.rms_dbfs
    return {
        "path": recording.path,
        "station": recording.location or "unknown",
        "started": recording.start_local.isoformat(" ") if recording.start_local else "unknown",
        "duration": format_duration(recording.duration_s),
        "duration_s": recording.duration_s,
        "format": (
            f"{recording.audio_format} {recording.subtype}, {recording.sample_rate_hz} Hz, "
            f"{recording.n_channels} channel(s)"
        ),
        "rms_dbfs": level if level > float("-inf") else "digital silence",
        "clipped_percent": 100 * recording.clipped_fraction,
        "channels": table(_CHANNEL_HEADER, _channel_rows(recording)),
        "warnings": dg.MetadataValue.md("\n".join(f"- {one}" for one in recording.warnings) or "-"),
        "sha256": recording.sha256,
    }


def _channel_rows(recording: Recording) -> list[tuple[str, ...]]:
    return [
        (
            str(number),
            f"{one.rms_dbfs:.1f}",
            f"{one.peak_dbfs:.1f}",
            f"{100 * one.dc_offset:.2f}",
            f"{100 * one.clipped_fraction:.2f}",
            f"{one.longest_constant_s:.2f}",
            f"{one.dead_samples / recording.sample_rate_hz:.2f}",
        )
        for number, one in enumerate(recording.channels[:_TOP_CHANNELS], 1)
    ]


def manifest_schema() -> dg.TableSchema:
    """Returns the schema of a chunk manifest."""
    return column_schema(MANIFEST_COLUMNS)


def manifest_metadata(manifest: Manifest, at_once_s: float | None) -> dict[str, Any]:
    """Returns the metadata of a chunk manifest.

    Args:
        manifest: of a recording.
        at_once_s: up to which length the detector hears recordings whole; None where any does.
    """
    covered_samples = sum(one.n_samples - one.overlap_samples for one in manifest.chunks)
    duration_s = covered_samples / manifest.chunks[0].sample_rate_hz
    return {
        "dagster/partition_row_count": len(manifest.chunks),
        "dagster/uri": manifest.path.as_uri(),
        "sha256": sha256_file(manifest.path),
        "bytes": manifest.path.stat().st_size,
        "longest_chunk_s": max(one.duration_s for one in manifest.chunks),
        "covers": format_duration(duration_s),
        "duration_s": duration_s,
        **({} if at_once_s is None else {"chunks_note": _describe_cut(manifest, at_once_s)}),
    }


def _describe_cut(manifest: Manifest, at_once_s: float) -> str:
    """Returns why a recording is not cut as `chunks` says, and what that means for it."""
    limit = format_duration(at_once_s)
    if len(manifest.chunks) == 1:
        return "given to the detector whole, as it must hear it; chunks.duration_s is not used"
    return (
        f"longer than the {limit} the detector is given at once, so it is cut every {limit}: "
        "scores may differ from those for the whole recording; chunks.duration_s is not used"
    )


def raw_detections_metadata(raw: RawResult, path: Path, telemetry: Path) -> dict[str, Any]:
    """Returns the metadata of what the detector found in a recording."""
    return {
        "dagster/partition_row_count": raw.n_detections,
        "dagster/uri": path.as_uri(),
        "sha256": sha256_file(path),
        "score_floor": raw.floor,
        **({} if raw.channel == MEAN else {"channel": name_channel(raw.channel)}),
        "x_realtime": round(raw.audio_s / raw.detector_s, 1) if raw.detector_s else 0.0,
        **_silence_metadata(raw.not_analysed_s),
        "chunks": len(raw.results),
        "chunks_failed": len(raw.failed),
        "chunks_resumed": raw.n_resumed,
        "retries": raw.n_retries,
        **{name: round(one, 3) for name, one in gpu_figures(raw.results).items()},
        "detector": f"{raw.detector.name} {raw.detector.version}",
        "device": ", ".join(raw.workers),
        "worker_peak_rss_mib": round(raw.peak_rss_mib, 1),
        "telemetry": dg.MetadataValue.path(str(telemetry)),
    }


def _silence_metadata(not_analysed_s: float) -> dict[str, Any]:
    """Returns how much digital silence the model has no scores for; nothing where it has."""
    return {"silence_not_analysed_s": not_analysed_s} if not_analysed_s else {}


def detections_metadata(made: DetectionsResult, path: Path) -> dict[str, Any]:
    """Returns the metadata of a recording's detections."""
    top = [(name, count, f"{best:.3f}") for name, count, best in made.top_labels(_TOP_LABELS)]
    return {
        "dagster/partition_row_count": made.table.num_rows,
        "dagster/uri": path.as_uri(),
        "sha256": sha256_file(path),
        "species": made.n_species,
        "effort_s": made.effort_s,
        "dead_s": made.dead_s,
        **_expected_metadata(made),
        "top_species": table(("label", "detections", "best"), top) if top else "no detections",
        "config_hash": made.config_hash,
    }


def _expected_metadata(made: DetectionsResult) -> dict[str, Any]:
    """Returns how many detections are of species that can be there, and what was left out."""
    counts = {f"detections_{name}": n for name, n in made.expected_counts.items()}
    if not made.left_out:
        return counts
    rows = list(made.left_out.items())[:_TOP_LABELS]
    return {
        **counts,
        "left_out_not_expected": sum(made.left_out.values()),
        "left_out_species": table(("label", "detections"), rows),
    }


def speech_metadata(segments: Segments, path: Path) -> dict[str, Any]:
    """Returns the metadata of where people speak in a recording."""
    return {
        "dagster/partition_row_count": len(segments),
        "dagster/uri": path.as_uri(),
        "has_speech": bool(segments),
        "speech_s": length_ms(segments) / 1000,
        "model": MODEL,
    }


_MOST_TASKS = 200
"""Rows of the table of tasks: each event is stored twice."""


def slurm_metadata(place: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metadata of where on a cluster a recording was worked on, and at what cost."""
    return {f"slurm_{name}": value for name, value in place.items()}


def tasks_metadata(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the metadata of all tasks of a step on a cluster: their sums, and a table."""
    names = list(dict.fromkeys(name for one in tasks for name in one))
    rows = [[one.get(name, "") for name in names] for one in tasks[:_MOST_TASKS]]
    hours = sum(one.get("elapsed_s", 0.0) for one in tasks) / 3600
    return {
        "slurm_tasks": len(tasks),
        "slurm_task_hours": round(hours, 4),
        "slurm_gpu_hours": round(sum(one.get("gpu_hours", 0.0) for one in tasks), 4),
        "slurm_peak_rss_mib": max(one.get("max_rss_mib", 0) for one in tasks),
        "slurm_table": table(names, rows),
    }


def corpus_metadata(totals: CorpusTotals, path: Path) -> dict[str, Any]:
    """Returns the metadata of the corpus database."""
    return {
        "dagster/row_count": totals.detections,
        "dagster/uri": path.as_uri(),
        "recordings": totals.recordings,
        "recordings_missing": totals.missing,
        "labels": totals.labels,
        "chunks": totals.chunks,
        "chunks_failed": totals.failed_chunks,
        "recorded": format_duration(totals.duration_s),
        "analysed": format_duration(totals.effort_s),
        "effort_s": totals.effort_s,
        "dead_s": totals.dead_s,
        "detections_expected": totals.expected,
        "detections_not_expected": totals.not_expected,
        "detections_not_known": totals.not_known,
        **({"left_out_not_expected": totals.left_out} if totals.left_out else {}),
    }


def _cell(value: object) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(str(value).split()))


def _type_name(kind: pa.DataType) -> str:
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)
