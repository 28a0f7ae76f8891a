"""What a detector is to the rest of BADC.

A detector is split in two so that a worker can read ahead: `batches` decodes and resamples in one
thread while `detect` runs the model in another. One file per detector lies beside this one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk


@dataclass(frozen=True)
class DetectorIdentity:
    """Which detector made a result, knowable without loading its model.

    Attributes:
        name: as registered.
        version: of the model, or of the rule.
        model_sha256: of the model file, hex; None for a detector without one.
        licence: of the model, where results must name it; else empty.
        window_s: how much the model sees at once.
    """

    name: str
    version: str
    model_sha256: str | None
    licence: str
    window_s: float


@dataclass(frozen=True)
class Label:
    """A class a detector knows.

    Attributes:
        name: common name, or what the sound is.
        code: the detector's own code; empty if it has none.
        scientific_name: empty for sounds that are no species.
    """

    name: str
    code: str = ""
    scientific_name: str = ""


@dataclass(frozen=True)
class Detection:
    """A label over a half-open interval of a recording.

    Attributes:
        start_sample, end_sample: from the recording's start, at its own rate.
        confidence: the detector's score, 0 to 1.
    """

    start_sample: int
    end_sample: int
    label: Label
    confidence: float


@dataclass(frozen=True)
class WindowBatch:
    """Some windows of a chunk, ready for the model.

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


class Detector(Protocol):
    """A loaded detector; one per worker, used by one thread each for reading and detecting."""

    @property
    def identity(self) -> DetectorIdentity:
        """Which detector this is."""

    def batches(self, audio: AudioFile, chunk: Chunk) -> Iterator[WindowBatch]:
        """Yields the windows that belong to a chunk, in order.

        Raises:
            UnreadableRecording: the audio cannot be decoded to the chunk's end.
        """

    def detect(self, batch: WindowBatch) -> list[Detection]:
        """Returns the detections at or above the minimum score, by start, then label.

        Raises:
            DetectorFailed: the model could not be run on this batch.
        """


class DetectorLoader(Protocol):
    """What the entry-point group `badc.detectors` names: two ways to ask about one detector."""

    def identify(self, settings: Any) -> DetectorIdentity:
        """Returns what would run under these settings, without loading the model.

        Raises:
            DetectorMissing: package, model file or runtime is not installed.
        """

    def load(self, settings: Any) -> Detector:
        """Returns the detector, its model in memory and warmed up.

        Raises:
            DetectorMissing: package, model file or runtime is not installed.
        """
