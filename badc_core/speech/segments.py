"""From a probability of speech per frame to segments: a rule, and no model.

The model is in `find.py`; sound without the segments in `mute.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class SpeechSegment(NamedTuple):
    """A stretch of a recording in which somebody speaks, half-open.

    Attributes:
        start_ms: from the recording's start.
        end_ms: one past its last millisecond, > start_ms.
        probability: the highest of its frames, 0 to 1.
    """

    start_ms: int
    end_ms: int
    probability: float


@dataclass(frozen=True)
class SpeechRules:
    """What makes a segment.

    The rules are those of `get_speech_timestamps`; our values are more cautious, since a word that
    is missed is published, and a second of silence too much does little harm. Benchmarks measure
    what they cost (`benchmarks/speech.py`).

    Attributes:
        threshold: a segment begins at a frame with at least this probability.
        end_threshold: it goes on until frames are below this one.
        longest_pause_ms: as long as they stay below it no longer than this.
        shortest_ms: what is shorter, without padding, is no segment.
        padding_ms: added before and after; segments that then touch become one.

    Source:
        silero-vad, `src/silero_vad/utils_vad.py`, function `get_speech_timestamps`. Its values are
        0.5, 0.35, 100, 250 and 30.
    """

    threshold: float = 0.3
    end_threshold: float = 0.15
    longest_pause_ms: int = 500
    shortest_ms: int = 250
    padding_ms: int = 300


def join_frames(
    probabilities: Iterable[float], frame_ms: int, length_ms: int, rules: SpeechRules
) -> Iterator[SpeechSegment]:
    """Yields the segments of a recording in order, apart from each other.

    Args:
        probabilities: of speech, one per frame, from the recording's start.
        frame_ms: length of a frame.
        length_ms: of the recording; no segment ends later.
        rules: what makes a segment.
    """
    waiting: SpeechSegment | None = None
    for start_ms, end_ms, highest in _spoken(probabilities, frame_ms, rules):
        segment = SpeechSegment(
            max(0, start_ms - rules.padding_ms), min(length_ms, end_ms + rules.padding_ms), highest
        )
        if waiting is None or waiting.end_ms < segment.start_ms:
            if waiting is not None:
                yield waiting
            waiting = segment
        else:
            both = max(waiting.probability, segment.probability)
            waiting = SpeechSegment(waiting.start_ms, segment.end_ms, both)
    if waiting is not None:
        yield waiting


def _spoken(
    probabilities: Iterable[float], frame_ms: int, rules: SpeechRules
) -> Iterator[tuple[int, int, float]]:
    """Yields start, end and highest probability of what is long enough, without padding."""
    start_ms: int | None = None
    end_ms = now_ms = 0
    highest = 0.0
    for probability in probabilities:
        if start_ms is None and probability >= rules.threshold:
            start_ms, highest = now_ms, 0.0
        now_ms += frame_ms
        if start_ms is None:
            continue
        highest = max(highest, probability)
        if probability >= rules.end_threshold:
            end_ms = now_ms
        elif now_ms - end_ms > rules.longest_pause_ms:
            if end_ms - start_ms >= rules.shortest_ms:
                yield start_ms, end_ms, highest
            start_ms = None
    if start_ms is not None and end_ms - start_ms >= rules.shortest_ms:
        yield start_ms, end_ms, highest
