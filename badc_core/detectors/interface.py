"""What a detector is to the rest of BADC.

A detector is split in two so that a worker can read ahead: `batches` decodes and resamples in one
thread while `detect` runs the model in another. Each detector has a file beside this one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import OWN_MODELS
from badc_core.errors import ConfigInvalid
from badc_core.recordings.recording import Recording


@dataclass(frozen=True)
class DetectorIdentity:
    """Which detector gave a result, known without loading its model.

    Attributes:
        name: as registered.
        version: of the model, or of the rule.
        model_sha256: of the model file, hex; None for a detector without one.
        licence: of the model, where results must name it; else empty.
        window_s: how much the model sees at once.
        uses_gpu: whether it runs on a GPU where there is one.
        companions: other files that decide what it finds, each with its SHA-256, or `absent`.
    """

    name: str
    version: str
    model_sha256: str | None
    licence: str
    window_s: float
    uses_gpu: bool = False
    companions: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Returns the identity whose fields these are."""
        return cls(**{**content, "companions": tuple(content["companions"])})

    def model_inputs(self) -> dict[str, Any]:
        """Returns what of it decides what the model gives, the same on any machine.

        Whether a model of the user's own can use a GPU depends on what is installed.
        """
        content = asdict(self)
        return {**content, "uses_gpu": False} if self.name in OWN_MODELS else content

    def require_same(self, loaded: "DetectorIdentity") -> None:
        """Returns if what was loaded is this, so that results may bear its name.

        Whether it can use a GPU does not count: that may differ between workers.

        Raises:
            ConfigInvalid: it is not.
        """
        if replace(loaded, uses_gpu=self.uses_gpu) != self:
            raise ConfigInvalid(
                "the model, or a file that belongs to it, changed while it was being loaded",
                self.name,
                "Run again once its files no longer change",
            )


@dataclass(frozen=True)
class Label:
    """A class a detector knows.

    Attributes:
        name: common name, or what the sound is.
        code: the detector's own code; empty if it has none.
        scientific_name: empty for sounds that are not of a species.
    """

    name: str
    code: str = ""
    scientific_name: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it is called."""
        return tuple(filter(None, (self.name, self.code, self.scientific_name)))


@dataclass(frozen=True)
class Detection:
    """A label over a half-open interval of a recording.

    Attributes:
        start_sample, end_sample: from the recording's start, at its own rate.
        confidence: the detector's score, 0 to 1.
        is_expected: whether the species is expected there and then; None where that is not known.
        occurrence: how often it is reported there and then, 0 to 1; None where that is not known.
        n_merged: how many of the detector's own it was joined from (`detections/joining.py`).
    """

    start_sample: int
    end_sample: int
    label: Label
    confidence: float
    is_expected: bool | None = None
    occurrence: float | None = None
    n_merged: int = field(default=1, kw_only=True)


WindowAnswer: TypeAlias = "Sequence[Detection] | None"
"""What is in a window; None: digital silence, all values alike, that the model has no score for."""


@dataclass(frozen=True)
class RecordingContext:
    """Where and when a recording was recorded, as far as it is known.

    Attributes:
        latitude, longitude: degrees north and east.
        date: local date, `yyyy-mm-dd`.
    """

    latitude: float | None = None
    longitude: float | None = None
    date: str | None = None

    @classmethod
    def of(cls, recording: Recording) -> Self:
        """Returns where and when a recording was recorded."""
        date = recording.start_local.date().isoformat() if recording.start_local else None
        return cls(recording.latitude, recording.longitude, date)


NO_CONTEXT = RecordingContext()


class Batch(Protocol):
    """What a detector is given at once; only its size matters to others."""

    def __len__(self) -> int:
        """Returns how many windows (or files) it holds, at least 1."""


@dataclass(frozen=True)
class WindowBatch:
    """Some windows of a chunk, or of several, ready for the model.

    Attributes:
        windows: float32, shape [n_windows, window_samples], range [-1, 1], at the model's rate.
        starts: first sample of each window at the recording's own rate.
        ends: one past the last sample of recorded sound in it; what follows is zero padding.
        sample_rate_hz: rate of the samples in `windows`.
    """

    windows: npt.NDArray[np.float32]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    sample_rate_hz: int

    def __len__(self) -> int:
        return len(self.starts)

    def fits(self, other: Self) -> bool:
        """Returns whether the windows of another batch can be joined to its own."""
        shape, others = self.windows.shape[1:], other.windows.shape[1:]
        return shape == others and self.sample_rate_hz == other.sample_rate_hz

    def part(self, start: int, end: int) -> Self:
        """Returns windows `start` to `end` as a batch, sharing the samples."""
        return replace(
            self,
            windows=self.windows[start:end],
            starts=self.starts[start:end],
            ends=self.ends[start:end],
        )

    @staticmethod
    def join(batches: "Sequence[WindowBatch]") -> "WindowBatch":
        """Returns the windows of batches that fit each other as one batch, in order."""
        if len(batches) == 1:
            return batches[0]
        return WindowBatch(
            np.concatenate([one.windows for one in batches]),
            tuple(start for one in batches for start in one.starts),
            tuple(end for one in batches for end in one.ends),
            batches[0].sample_rate_hz,
        )


@dataclass(frozen=True)
class DetectorReport:
    """What a detector reports of its last call to `detect`, for telemetry.

    Attributes:
        command: the program it ran, with arguments; None if it ran none.
        returncode: of that program.
        stdout, stderr: the end of what the program wrote.
        peak_vram_mib: most GPU memory the model ever held; None if that is not known.
        peak_rss_mib: most memory of the programs it ran; None if it ran none.
        notes: what else happened, such as a batch halved for lack of memory.
    """

    command: tuple[str, ...] | None = None
    returncode: int | None = None
    stdout: str = ""
    stderr: str = ""
    peak_vram_mib: float | None = None
    notes: tuple[str, ...] = field(default=())
    peak_rss_mib: float | None = None


class Detector(Protocol):
    """A loaded detector; one per worker.

    `batches` is called in one thread, `detect` in another; after a lack of memory `batches` may be
    called in the second too, so it keeps no state between calls.
    """

    @property
    def identity(self) -> DetectorIdentity:
        """Which detector this is: what `identify` says of it, or the run is refused."""

    @property
    def batch_windows(self) -> int:
        """How many windows to give it at once, across chunks; 1 gives them chunk by chunk."""

    def batches(
        self, audio: AudioFile, chunk: Chunk, recording_context: RecordingContext
    ) -> Iterator[Batch]:
        """Yields the windows that belong to a chunk, in order; no batch is empty.

        Raises:
            UnreadableRecording: the audio cannot be decoded to the chunk's end.
        """

    def detect(self, batch: Any) -> Sequence[WindowAnswer]:
        """Returns, for each window of the batch, the detections at or above the minimum score.

        Raises:
            OutOfMemory: the batch is too large for the device.
            DetectorFailed: the model could not be run on this batch.
        """

    def report(self) -> DetectorReport | None:
        """Returns a report of the last `detect`, if there is anything to say."""

    def close(self) -> None:
        """Ends its processes and removes its files in scratch."""


class DetectorLoader(Protocol):
    """What the entry-point group `badc.detectors` names: two ways to ask about one detector."""

    def identify(self, settings: Any) -> DetectorIdentity:
        """Returns what would run under these settings, without loading the model.

        Raises:
            DetectorMissing: package, model file or runtime is not installed.
        """

    # A loader that knows it without looking has `USES_GPU`, a bool, too. If it has `USES_PLACE` and
    # that is false, what the model gives does not depend on where and when a sound was recorded.
    # A loader whose detector finds other things in a part of a recording than in all of it has
    # `HEARS_AT_ONCE_S`: recordings up to that many seconds are given to it whole, longer ones in
    # chunks of that length, whatever `chunks` says.
    # A loader that can name the classes without loading anything has `labels(settings)` too, which
    # returns `tuple[Label, ...]`: names in `include`, `exclude` and `thresholds` are then checked.

    def load(self, settings: Any) -> Detector:
        """Returns the detector, its model in memory and warmed up.

        Temporary files belong where `tempfile` puts them: the worker's own scratch folder, which
        is removed when the worker ends, however it ends.

        Raises:
            DetectorMissing: package, model file or runtime is not installed.
        """
