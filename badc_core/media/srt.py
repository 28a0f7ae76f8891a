"""Subtitles: cutting words into cues that can be read, and writing them as SRT. Pure text.

Source: SubRip's format as ffmpeg reads it (libavformat/srtdec.c); for lengths the Netflix Timed
Text Style Guide: two lines of 42 characters, 5/6 s to 7 s.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from badc_core.media.documents import Turn, Utterance, Word

LINE_CHARACTERS = 42
LINES = 2
LONGEST_MS = 7_000
SHORTEST_MS = 833
_PAUSE_MS = 1_000
"""A pause this long begins a new cue."""


@dataclass(frozen=True)
class Cue:
    """What is shown at once.

    Attributes:
        start_ms, end_ms: half-open, end_ms > start_ms.
        text: without line breaks.
    """

    start_ms: int
    end_ms: int
    text: str


def cut_cues(said: Iterable[Utterance], turns: Sequence[Turn] = ()) -> list[Cue]:
    """Returns cues in order that do not overlap.

    Each begins with its first word and ends with its last, or later so that it can be read. What
    several people say is never in one cue, and begins with the speaker's name.

    Args:
        said: in any order.
        turns: who speaks when; empty where nobody knows, or one person speaks.
    """
    names = {one.speaker for one in turns}
    words = [word for one in said for word in _words(one) if word.word.strip()]
    words.sort(key=lambda word: (word.start_ms, word.end_ms))
    groups = _group(words, turns if len(names) > 1 else ())
    return _settle([Cue(g[0].start_ms, max(w.end_ms for w in g), t) for g, t in groups])


def write_srt(cues: Iterable[Cue]) -> str:
    """Returns the text of an SRT file."""
    return "".join(
        f"{number}\n{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}\n{wrap(cue.text)}\n\n"
        for number, cue in enumerate(cues, start=1)
    )


def wrap(text: str) -> str:
    """Returns a text in lines, the first two about as long; only one word may be longer."""
    plain = " ".join(text.replace("-->", "→").split())
    if len(plain) <= LINE_CHARACTERS:
        return plain
    best = textwrap.wrap(plain, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)
    for width in range(LINE_CHARACTERS - 1, len(plain) // 2 - 1, -1):
        lines = textwrap.wrap(plain, width, break_long_words=False, break_on_hyphens=False)
        if len(lines) > len(best):
            break
        best = lines
    return "\n".join(best)


def _words(utterance: Utterance) -> Sequence[Word]:
    """Returns an utterance's words; where they have no times, it is shared out by characters."""
    if utterance.words:
        return utterance.words
    texts = utterance.text.split()
    total = sum(map(len, texts)) or 1
    length_ms = utterance.end_ms - utterance.start_ms
    words, n_before = [], 0
    for text in texts:
        start_ms = utterance.start_ms + length_ms * n_before // total
        n_before += len(text)
        end_ms = utterance.start_ms + length_ms * n_before // total
        words.append(Word(start_ms=start_ms, end_ms=end_ms, word=text, probability=0.0))
    return words


def _group(words: Iterable[Word], turns: Sequence[Turn]) -> Iterator[tuple[list[Word], str]]:
    """Yields the words of a cue, and its text."""
    group: list[Word] = []
    speaker = text = ""
    for word in words:
        who = _speaker(word, turns)
        longer = f"{text} {word.word.strip()}"
        is_full = len(wrap(longer).splitlines()) > LINES
        if group and (is_full or who != speaker or _is_apart(group, word)):
            yield group, text
            group = []
        if not group:
            longer = f"{who}: {word.word.strip()}" if who else word.word.strip()
        group.append(word)
        speaker, text = who, longer
    if group:
        yield group, text


def _is_apart(group: Sequence[Word], word: Word) -> bool:
    """Returns whether a word comes too late for the cue that is being filled."""
    is_pause = word.start_ms - group[-1].end_ms >= _PAUSE_MS
    return is_pause or word.end_ms - group[0].start_ms > LONGEST_MS


def _speaker(word: Word, turns: Sequence[Turn]) -> str:
    """Returns who speaks most of a word; empty for nobody known."""

    def overlap(turn: Turn) -> int:
        return min(word.end_ms, turn.end_ms) - max(word.start_ms, turn.start_ms)

    longest = max(turns, key=overlap, default=None)
    return longest.speaker if longest is not None and overlap(longest) > 0 else ""


def _settle(cues: Sequence[Cue]) -> list[Cue]:
    """Returns cues long enough to be read, none of which begins before the one before ends."""
    settled: list[Cue] = []
    for number, cue in enumerate(cues):
        start_ms = max(cue.start_ms, 0, settled[-1].end_ms if settled else 0)
        end_ms = max(min(cue.end_ms, start_ms + LONGEST_MS), start_ms + SHORTEST_MS)
        if number + 1 < len(cues):
            end_ms = min(end_ms, max(cues[number + 1].start_ms, start_ms + 1))
        settled.append(Cue(start_ms, end_ms, cue.text))
    return settled


def _clock(time_ms: int) -> str:
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d},{ms:03d}"
