"""What became of each chunk of a recording, kept while the recording is being analysed.

One append-only file per recording, a JSON object a line. Every line carries a key made of model,
settings and the chunk's audio, so results of other settings are never mistaken for these. It
survives being killed at any byte: a line counts once its end is written. Its last field is a
checksum of the rest, so a damaged line is as if not there.
"""

import json
import logging
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from badc_core.atomic import naming_storage_trouble, write_text
from badc_core.audio.channel import MEAN, Channel
from badc_core.chunks.plan import FilePlace
from badc_core.detectors.interface import NO_CONTEXT, RecordingContext
from badc_core.engine import protocol
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.hashing import digest_json, sha256_bytes
from badc_core.json_texts import parse_object
from badc_core.telemetry.live import is_torn

SCHEMA_VERSION = 1

_log = logging.getLogger(__name__)
_told: set[Path] = set()
"""Journals whose damage this process has warned of."""
_SUMMED = re.compile(rb'(?P<rest>\{.*),"checksum":"(?P<checksum>[0-9a-f]{16})"\}')


def chunk_key(
    config_hash: str,
    sound: str,
    overlap_samples: int = 0,
    recording_context: RecordingContext = NO_CONTEXT,
    place: FilePlace | None = None,
) -> str:
    """Returns what a journal line is bound to.

    Args:
        config_hash: of the settings, model and code that decide what the model gives.
        sound: identity of the chunk's sound, as far as it is `heard`.
        overlap_samples: how much of it belongs to the chunk before.
        recording_context: where and when it was recorded.
        place: of its file in the recording, which decides where its windows lie.
    """
    site = (recording_context.latitude, recording_context.longitude, recording_context.date)
    in_recording = astuple(place) if place else None
    return digest_json([SCHEMA_VERSION, config_hash, sound, overlap_samples, site, in_recording])


def heard(sound: str, channel: Channel) -> str:
    """Returns the identity of what is heard of a sound: its own where that is the mean."""
    return sound if channel == MEAN else digest_json([sound, channel])


class Journal:
    """The journal of one recording.

    Args:
        path: of its file; created with its folder at the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def known(self, keys: Mapping[str, ChunkTask], floor: float = 1.0) -> dict[str, ChunkResult]:
        """Returns the chunks that were analysed successfully, by key.

        Args:
            keys: key -> the chunk that has it.
            floor: results that were kept down to this score at least.
        """
        found: dict[str, ChunkResult] = {}
        for line in self._lines():
            key = line["key"]
            if key in keys and key not in found and line["floor"] <= floor:
                found[key] = _result(keys[key], line)
        return found

    def append(self, key: str, result: ChunkResult) -> None:
        """Adds what became of a chunk; a failure is kept for people, and tried again.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        line = _as_text(_line(key, result)).encode()
        with naming_storage_trouble(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.path, flags, 0o644)
            try:
                # Its last line has no end where a process was killed while it wrote it.
                _write_whole(descriptor, b"\n" + line if is_torn(descriptor) else line)
            finally:
                os.close(descriptor)

    def forget(self, keys: Collection[str]) -> None:
        """Removes the lines with these keys, and the file where no other result is left.

        Raises:
            StorageFull, OutputUnwritable: the disk or a quota is full.
        """
        others = [line for line in self._lines() if line["key"] not in keys]
        if others:
            write_text(self.path, "".join(map(_as_text, others)))
        else:
            self.path.unlink(missing_ok=True)

    def _lines(self) -> list[dict[str, Any]]:
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return []
        lines, n_bad = [], 0
        for line in content.split(b"\n")[:-1]:
            try:
                parsed = _parse(line)
            except ValueError:
                # A line without an end is what a killed process leaves.
                n_bad += line.endswith(b"}")
            else:
                if parsed["status"] == "success":
                    lines.append(parsed)
        self._warn_once(n_bad)
        return lines

    def _warn_once(self, n_bad: int) -> None:
        if n_bad and self.path not in _told:
            _told.add(self.path)
            _log.warning(
                "%s: %d damaged lines are left out; their chunks are analysed again. "
                "Check the disk if this happens often",
                self.path,
                n_bad,
            )


def _parse(line: bytes) -> dict[str, Any]:
    """Returns a line as it was written; raises ValueError for any other."""
    summed = _SUMMED.fullmatch(line)
    rest = summed["rest"] + b"}" if summed else b""
    if summed is None or _checksum(rest) != summed["checksum"].decode():
        raise ValueError("damaged")
    return parse_object(rest)


def _checksum(text: bytes) -> str:
    return sha256_bytes(text)[:16]


def _as_text(line: dict[str, Any]) -> str:
    rest = json.dumps(line, separators=(",", ":"))
    return f'{rest[:-1]},"checksum":"{_checksum(rest.encode())}"}}\n'


def _line(key: str, result: ChunkResult) -> dict[str, Any]:
    line: dict[str, Any] = {
        "key": key,
        "chunk_id": result.chunk.chunk_id,
        "status": "failure" if result.error else "success",
        "attempt": result.attempt,
        "worker": result.worker,
        "runtime_s": round(result.runtime_s, 4),
        "peak_rss_mib": round(result.peak_rss_mib, 1),
    }
    if result.error is not None:
        return {**line, "error": str(result.error)}
    line["floor"] = result.floor
    if result.not_analysed:
        line["not_analysed"] = result.not_analysed
    return {**line, "detections": protocol.detections_to_json(result.detections)}


def _result(task: ChunkTask, line: dict[str, Any]) -> ChunkResult:
    return ChunkResult(
        task,
        protocol.detections_from_json(line["detections"]),
        None,
        float(line["runtime_s"]),
        str(line["worker"]),
        int(line["attempt"]),
        float(line["peak_rss_mib"]),
        is_resumed=True,
        floor=line["floor"],
        not_analysed=protocol.intervals_from_json(line.get("not_analysed", [])),
    )


def _write_whole(descriptor: int, content: bytes) -> None:
    """Writes everything; what a full disk cut off fails at the next attempt to write."""
    while content:
        content = content[os.write(descriptor, content) :]
