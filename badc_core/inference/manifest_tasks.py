"""From the rows of a manifest to tasks for workers.

A row means a range of its recording, or a file that holds the chunk alone; where it does not say
which, the file's length does. Rows are read in `chunks/requests.py`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.audio.channel import MEAN, Channel, choose_channel
from badc_core.audio.reader import AudioFile
from badc_core.chunks.manifest import chunk_sha256
from badc_core.chunks.plan import Chunk, FilePlace
from badc_core.chunks.requests import ChunkRequest
from badc_core.chunks.source import accepts_truncated, find_dataset
from badc_core.detectors.interface import NO_CONTEXT, RecordingContext
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import BadcError
from badc_core.hashing import fingerprint_file, sha256_text
from badc_core.recordings.loudest import find_loudest, measure_loudest
from badc_core.recordings.recording import Recording
from badc_core.settings import ChannelSetting
from badc_core.units import samples_to_ms

_SPARE_MS = 50
"""By how much a chunk's file may differ from its row and still hold that chunk alone."""

_ANY_RATE_HZ = 48_000
"""For rows whose file cannot be opened: the worker will say why, whatever the rate."""


@dataclass(frozen=True)
class ManifestTask:
    """A row and what a worker is given for it.

    Attributes:
        request: the row.
        task: what a worker is given; its chunk counts from the start of its file.
        sound: identity of what is heard, for the journal.
    """

    request: ChunkRequest
    task: ChunkTask
    sound: str


def make_tasks(
    requests: Sequence[ChunkRequest],
    recording: Recording | None = None,
    files: Callable[[ChunkRequest], Path | None] = lambda _: None,
    channel: ChannelSetting = MEAN,
) -> tuple[ManifestTask, ...]:
    """Returns the tasks of one recording, in order.

    A file that is missing or broken gives a task too, at which the worker will fail: that costs
    its chunks and no others.

    Args:
        requests: its rows, by start.
        recording: what it is, where a dataset describes it.
        files: says where the detector's own files about a row are kept, if anywhere.
        channel: the setting `recordings.channel`.
    """
    sources = _Sources(recording, channel)
    before: ManifestTask | None = None
    tasks = []
    for number, request in enumerate(requests):
        later = (one for one in requests[number + 1 :] if one.end_ms > request.end_ms)
        before = sources.task(request, before, next(later, None))
        tasks.append(replace(before, task=replace(before.task, files=files(request))))
    return tuple(tasks)


@dataclass(frozen=True)
class _Header:
    n_samples: int
    sample_rate_hz: int
    n_channels: int


class _Sources:
    """The audio files of a recording's rows; each is opened once, and only if it must be."""

    def __init__(self, recording: Recording | None, channel: ChannelSetting) -> None:
        self._recording = recording
        self._wanted_channel = channel
        self._loudest: dict[Path, int] = {}
        self._context = NO_CONTEXT if recording is None else RecordingContext.of(recording)
        self._headers: dict[Path, _Header | None] = {}
        self._fingerprints: dict[Path, str] = {}

    def task(
        self, request: ChunkRequest, before: ManifestTask | None, after: ChunkRequest | None
    ) -> ManifestTask:
        """Returns a row's task."""
        if self._is_file(request):
            chunk, n_samples = self._whole_file(request, before, after)
        else:
            chunk, n_samples = self._range(request, before.request if before else None)
        sound = self._sound(request, chunk)
        if chunk.chunk_id != request.chunk_id:
            chunk = replace(chunk, name=request.chunk_id)
        channel = self._channel(request)
        task = ChunkTask(request.audio, n_samples, chunk, self._context, channel=channel)
        return ManifestTask(request, task, sound)

    def _is_file(self, request: ChunkRequest) -> bool:
        if request.is_file is not None:
            return request.is_file
        header = self._header(request.audio)
        if header is None:
            return True
        length_ms = samples_to_ms(header.n_samples, header.sample_rate_hz)
        return length_ms - (request.end_ms - request.start_ms) <= _SPARE_MS

    def _whole_file(
        self, request: ChunkRequest, before: ManifestTask | None, after: ChunkRequest | None
    ) -> tuple[Chunk, int]:
        """Returns the chunk in a file of its own, and how long that file must be."""
        header = None
        rate_hz, frames = request.sample_rate_hz, request.frames
        if rate_hz is None or frames is None:
            header = self._header(request.audio)
            rate_hz = header.sample_rate_hz if header else _ANY_RATE_HZ
            n_samples = round(request.duration_s * rate_hz)
        else:
            n_samples = frames[1] - frames[0]
        if header is not None and _is_close(header, n_samples):
            n_samples = header.n_samples
        held = _overlap_samples(request, before.request if before else None, rate_hz)
        start = request.span(rate_hz)[0]
        held_before = held if before is None else _held_by(before, start, held)
        held_after = 0
        if after is not None and after.start_ms < request.end_ms and self._is_readable(after):
            held_after = max(0, start + n_samples - after.span(rate_hz)[0])
        place = FilePlace(start, held_before, held_after)
        overlap = min(held, n_samples - 1)
        return Chunk(request.recording_id, 0, n_samples, overlap, rate_hz, file=place), n_samples

    def _is_readable(self, request: ChunkRequest) -> bool:
        """Whether a row has a file of its own that holds all that the row says."""
        header = self._header(request.audio)
        if header is None or not self._is_file(request):
            return False
        return _is_close(header, round(request.duration_s * header.sample_rate_hz))

    def _range(self, request: ChunkRequest, before: ChunkRequest | None) -> tuple[Chunk, int]:
        """Returns the chunk in its recording, and how long the recording must be."""
        n_samples, rate_hz = self._recording_length(request)
        start, end = request.span(rate_hz)
        if request.frames is None and 0 < end - n_samples <= _SPARE_MS * rate_hz / 1000:
            end = n_samples
        overlap = min(_overlap_samples(request, before, rate_hz), end - start - 1)
        return Chunk(request.recording_id, start, end, overlap, rate_hz), n_samples

    def _recording_length(self, request: ChunkRequest) -> tuple[int, int]:
        """Returns samples and rate of the recording a row was made from, as well as is known."""
        recording, rate_hz = self._recording, request.sample_rate_hz
        if recording is not None and recording.sha256 == request.parent_sha256:
            return recording.n_samples, recording.sample_rate_hz
        header = self._header(request.audio)
        if header is None:
            rate_hz = rate_hz or _ANY_RATE_HZ
            return round(request.end_ms * rate_hz / 1000), rate_hz
        if rate_hz is None or rate_hz == header.sample_rate_hz:
            return header.n_samples, header.sample_rate_hz
        # The file is another than the one that was cut: the worker finds the length wrong.
        return round(header.n_samples * rate_hz / header.sample_rate_hz), rate_hz

    def _sound(self, request: ChunkRequest, chunk: Chunk) -> str:
        """Returns the identity of a chunk's sound; in a dataset the one its assets use."""
        # A manifest's word is not taken for what the file holds now.
        fingerprint = self._fingerprint(request.audio)
        if request.is_file is False and self._is_described(request, fingerprint):
            return chunk_sha256(request.parent_sha256, chunk)
        # Two chunks may hold the same sound, such as digital silence.
        text = json.dumps([fingerprint, request.start_ms, chunk.start_sample, chunk.end_sample])
        return sha256_text(text)

    def _is_described(self, request: ChunkRequest, fingerprint: str) -> bool:
        """Whether the file still is the one that the dataset described and cut."""
        one = self._recording
        return one is not None and (one.sha256, one.fingerprint) == (
            request.parent_sha256,
            fingerprint,
        )

    def _channel(self, request: ChunkRequest) -> Channel:
        """Returns what is analysed of a row's file; chunk files have their recording's channels."""
        if self._wanted_channel == MEAN:
            return MEAN
        header = self._header(request.audio)
        if header is None:
            return MEAN  # the worker will say why, whatever the channel
        return choose_channel(
            self._wanted_channel, header.n_channels, lambda: self._find_loudest(request, header)
        )

    def _find_loudest(self, request: ChunkRequest, header: _Header) -> int:
        """Returns the loudest channel of a row's recording; of its file where no dataset has it."""
        one, audio = self._recording, request.audio
        if one is not None and (one.sha256, one.n_channels) == (
            request.parent_sha256,
            header.n_channels,
        ):
            return find_loudest(one)
        if audio not in self._loudest:
            self._loudest[audio] = measure_loudest(audio)
        return self._loudest[audio]

    def _header(self, audio: Path) -> _Header | None:
        if audio not in self._headers:
            try:
                accept = accepts_truncated(find_dataset(audio))
                with AudioFile(audio, accept_truncated=accept) as opened:
                    self._headers[audio] = _Header(
                        opened.n_samples, opened.sample_rate_hz, opened.n_channels
                    )
            except BadcError:
                self._headers[audio] = None
        return self._headers[audio]

    def _fingerprint(self, audio: Path) -> str:
        if audio not in self._fingerprints:
            try:
                self._fingerprints[audio] = fingerprint_file(audio, "sampled")
            except OSError:
                self._fingerprints[audio] = ""
        return self._fingerprints[audio]


def _is_close(header: _Header, n_samples: int) -> bool:
    return abs(header.n_samples - n_samples) <= _SPARE_MS * header.sample_rate_hz / 1000


def _held_by(before: ManifestTask, start_sample: int, held_samples: int) -> int:
    """Returns how much of a file's start the one before holds, as long as that really is.

    So no window falls between the two, whatever their rows were rounded to.
    """
    chunk = before.task.chunk
    if chunk.file is None:
        return held_samples
    exact = chunk.file.start_sample + before.task.n_samples - start_sample
    is_close = abs(exact - held_samples) <= _SPARE_MS * chunk.sample_rate_hz / 1000
    return max(0, exact) if is_close else held_samples


def _overlap_samples(
    request: ChunkRequest, before: ChunkRequest | None, sample_rate_hz: int
) -> int:
    """Returns how much of a chunk's start the one before holds too.

    Our rows say so, to the millisecond; the frames of the row before say it exactly. The
    original's say what was asked for, in the first row too and where chunks do not overlap, so
    there the times of the row before count.
    """
    if request.frames is None:
        is_reliable = before is None and request.start_ms > 0
        shared_ms = request.overlap_ms if is_reliable else 0
        if before is not None:
            shared_ms = max(0, before.end_ms - request.start_ms)
        return round(shared_ms * sample_rate_hz / 1000)
    if before is not None and before.frames is not None:
        shared = max(0, before.frames[1] - request.frames[0])
        if samples_to_ms(shared, sample_rate_hz) == request.overlap_ms:
            return shared
    return round(request.overlap_ms * sample_rate_hz / 1000)
