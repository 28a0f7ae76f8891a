"""Chunks as files of their own, for detectors that are programs and need a file.

A detector that sees windows reads through `windows.py` instead and writes nothing.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from badc_core.atomic import (
    STORAGE_FULL,
    naming_storage_trouble,
    remove_folder,
    replacing_folder,
)
from badc_core.audio.reader import AudioFile, Samples
from badc_core.chunks.plan import Chunk
from badc_core.chunks.wave_file import WaveForm
from badc_core.datasets.dataset import InferencePaths
from badc_core.detectors.interface import Detection, Label, RecordingContext
from badc_core.errors import OutputUnwritable
from badc_core.units import samples_to_ms, seconds_to_samples

_BLOCK_SAMPLES = 1 << 20
_NAMED = 5


@dataclass(frozen=True)
class ChunkFile:
    """A chunk in a file, a batch of one.

    Attributes:
        path: WAV, mono, 32-bit float, at the recording's own rate; only `output` is beside it.
        chunk: what it holds.
        recording_context: where and when that was recorded.
        keep_in: folder that `keep_output` writes; None to keep nothing.
    """

    path: Path
    chunk: Chunk
    recording_context: RecordingContext
    keep_in: Path | None = None

    def __len__(self) -> int:
        return 1

    @property
    def output(self) -> Path:
        """The folder beside it for whatever a program writes about it."""
        return self.path.with_name("output")

    def kept_in(self, folder: Path | None) -> Self:
        """Returns the same file, of which `folder` is to keep the output."""
        return replace(self, keep_in=folder)

    def keep_output(self) -> tuple[str, ...]:
        """Copies the output to `keep_in`, replacing what is there.

        Files are copied, and the targets of links to files; anything else, such as a pipe, and
        what cannot be copied, is left out.

        Returns:
            A note on what was left out; none if nothing was.

        Raises:
            StorageFull: the disk or a quota is full.
            OutputUnwritable: it may not be written there.
        """
        if self.keep_in is None:
            return ()
        with replacing_folder(self.keep_in) as aside:
            left_out = [
                f"{_printable(path.relative_to(self.output))} ({why})"
                for path, why in _copy(self.output, aside)
            ]
        if not left_out:
            return ()
        more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        return (f"not kept of the program's files: {', '.join(left_out[:_NAMED])}{more}",)

    def remove(self) -> None:
        """Removes the file, the output and their folder; a second call does nothing."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


@dataclass(frozen=True)
class FoundInFile:
    """A detection as a program gives it: in seconds from the start of the file it was given.

    Attributes:
        start_s, end_s: half-open.
        label: what it is.
        confidence: 0 to 1.
        is_expected: whether the species is expected there and then; None where that is not known.
        occurrence: how often it is reported there and then, 0 to 1; None where that is not known.
    """

    start_s: float
    end_s: float
    label: Label
    confidence: float
    is_expected: bool | None = None
    occurrence: float | None = None


def write_chunk_file(
    audio: AudioFile, chunk: Chunk, recording_context: RecordingContext
) -> ChunkFile:
    """Writes a chunk's samples below `tempfile.gettempdir()`, in a fresh folder.

    Raises:
        UnreadableRecording: the audio cannot be decoded to the chunk's end.
        StorageFull: there is no room for the file.
    """
    form = WaveForm(audio.sample_rate_hz, 1, chunk.n_samples, "FLOAT")
    scratch = Path(tempfile.gettempdir())
    with naming_storage_trouble(scratch):
        folder = Path(tempfile.mkdtemp(prefix="badc-chunk-"))
        file = ChunkFile(folder / f"{chunk.chunk_id}.wav", chunk, recording_context)
        try:
            file.output.mkdir()
            with file.path.open("wb") as wav:
                wav.writelines(form.encode(_blocks(audio, chunk)))
        except BaseException:
            file.remove()
            raise
    return file


def forget_output(files: Path, *, is_kept: bool) -> tuple[str, ...]:
    """Removes what earlier results of a chunk left, now that it has another.

    Args:
        files: where this detector's files of the chunk are kept.
        is_kept: whether they are this result's; if not, they are an earlier one's too.

    Returns:
        A note for each folder that could not be removed: that must not cost the result.
    """
    notes = []
    for stale in (InferencePaths.other_chunk_files(files), *(() if is_kept else (files,))):
        try:
            remove_folder(stale)
        except (OSError, OutputUnwritable) as error:
            notes.append(f"files of an earlier result are still there: {error}")
    return tuple(notes)


def place_detections(chunk: Chunk, found: Iterable[FoundInFile]) -> list[Detection]:
    """Returns what was found in a chunk's file as detections, by start, then label.

    What begins in the overlap with the chunk before belongs to that one and is left out, as is
    what would have no length in a table's milliseconds. Ends are clipped to the chunk.
    """
    detections = []
    for one in found:
        start = max(chunk.start_sample, _sample_at(chunk, one.start_s))
        end = min(chunk.end_sample, _sample_at(chunk, one.end_s))
        is_ours = start >= chunk.start_sample + chunk.overlap_samples
        if is_ours and _has_length(start, end, chunk.sample_rate_hz):
            detections.append(
                Detection(start, end, one.label, one.confidence, one.is_expected, one.occurrence)
            )
    return sorted(detections, key=lambda one: (one.start_sample, one.label.name, one.end_sample))


def _copy(source: Path, target: Path) -> Iterator[tuple[Path, str]]:
    """Copies a file, or a folder's content; yields what is left out, and why.

    A full disk alone is raised.
    """
    inside: list[Path] = []
    why = ""
    try:
        if source.is_dir() and not source.is_symlink():
            target.mkdir(exist_ok=True)
            inside = sorted(source.iterdir())
        elif source.is_file():
            shutil.copyfile(source, target)
        else:
            why = "not a regular file"
    except OSError as error:
        if error.errno in STORAGE_FULL:
            raise
        why = error.strerror or str(error)
        with suppress(OSError):
            target.unlink(missing_ok=True)
    if why:
        yield source, why
    for one in inside:
        yield from _copy(one, target / one.name)


def _printable(path: Path) -> str:
    """Returns a path as text, whatever its bytes."""
    return os.fsencode(path).decode(errors="replace")


def _blocks(audio: AudioFile, chunk: Chunk) -> Iterator[Samples]:
    """Yields the chunk's samples, about a million at a time."""
    for start in range(chunk.start_sample, chunk.end_sample, _BLOCK_SAMPLES):
        yield audio.read(start, min(start + _BLOCK_SAMPLES, chunk.end_sample))


def _sample_at(chunk: Chunk, time_s: float) -> int:
    """Returns the sample of the recording at a time in the chunk's file."""
    return chunk.start_sample + seconds_to_samples(time_s, chunk.sample_rate_hz)


def _has_length(start_sample: int, end_sample: int, sample_rate_hz: int) -> bool:
    return samples_to_ms(start_sample, sample_rate_hz) < samples_to_ms(end_sample, sample_rate_hz)
