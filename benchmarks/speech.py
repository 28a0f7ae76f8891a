"""How much of what people say is found in field recordings, and how often nobody had spoken.

Sentences are mixed into real soundscapes at several levels: the rms of a sentence's sound relative
to the soundscape's, both at 16,000 Hz. Speech is espeak-ng's, or that of the files named, which
should hold no other sound. What counts as spoken is what is no pause of 0.2 s or more.

    python benchmarks/speech.py SOUNDSCAPE... [--speech FILE...]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from badc_core.audio.reader import AudioFile
from badc_core.audio.resampling import read_resampled
from badc_core.intervals import Interval, intersect, length_of, unite
from badc_core.speech.find import RATE_HZ, find_speech, find_speech_in
from badc_core.speech.segments import SpeechRules

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.spoken import SENTENCES, speak

_LEVELS_DB = (-10, -5, 0, 5, 10, 20)
_RULES = {"BADC": SpeechRules(), "Silero's": SpeechRules(0.5, 0.35, 100, 250, 30)}
_VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3", "en-gb-scotland+f4")
_ROUNDS = 4
_GAP_S = 6.0
_FRAME = RATE_HZ // 50
_PAUSE_FRAMES = 10
_VOICED = 0.05
_WHOLE = 0.95

Sound = npt.NDArray[np.float32]


@dataclass
class Tally:
    """What one set of rules found, in ms and counts."""

    spoken_ms: int = 0
    found_ms: int = 0
    phrases: int = 0
    hit: int = 0
    whole: int = 0
    false_alarms: int = 0
    quiet_ms: int = 0
    too_much_ms: int = 0

    def add(self, spoken: list[Interval], found: list[Interval], length_ms: int) -> None:
        """Counts one recording."""
        for phrase in spoken:
            covered = length_of(intersect([phrase], found))
            self.phrases += 1
            self.hit += covered > 0
            self.whole += covered >= _WHOLE * (phrase[1] - phrase[0])
        self.spoken_ms += length_of(spoken)
        self.found_ms += length_of(intersect(spoken, found))
        self.quiet_ms += length_ms - length_of(spoken)
        self.false_alarms += sum(not intersect([one], spoken) for one in found)
        self.too_much_ms += length_of(found) - length_of(intersect(spoken, found))


def _read(path: Path) -> Sound:
    with AudioFile(path) as audio:
        return np.concatenate(list(read_resampled(audio, RATE_HZ)))


def _rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def _phrases(sound: Sound) -> list[Interval]:
    """Returns where in a sentence somebody speaks, in samples."""
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    voiced = np.flatnonzero(level > _VOICED * level.max()).tolist()
    joined = unite((frame, frame + _PAUSE_FRAMES) for frame in voiced)
    return [(start * _FRAME, (end - _PAUSE_FRAMES + 1) * _FRAME) for start, end in joined]


def _mix(
    soundscape: Sound, sentences: Iterator[Sound], level_db: float, seed: int
) -> tuple[Sound, list[Interval]]:
    """Returns the soundscape with sentences some seconds apart, and the spoken phrases in ms."""
    mixed, spoken = soundscape.copy(), []
    wanted = _rms(soundscape) * 10 ** (level_db / 20)
    position = round(np.random.default_rng(seed).uniform(1, _GAP_S) * RATE_HZ)
    while position + len(sentence := next(sentences)) < len(mixed):
        phrases = _phrases(sentence)
        level = _rms(np.concatenate([sentence[start:end] for start, end in phrases]))
        mixed[position : position + len(sentence)] += sentence * np.float32(wanted / level)
        for start, end in phrases:
            times = (position + start) * 1000 // RATE_HZ, (position + end) * 1000 // RATE_HZ
            spoken.append(times)
        position += len(sentence) + round(_GAP_S * RATE_HZ)
    return mixed, spoken


def _find(sound: Sound, rules: SpeechRules) -> list[Interval]:
    return [(one.start_ms, one.end_ms) for one in find_speech(sound, rules)]


def _measure(soundscapes: list[Sound], sentences: list[Sound], rules: SpeechRules) -> None:
    for level_db in _LEVELS_DB:
        tally = Tally()
        said = cycle(sentences)
        for seed, soundscape in product(range(_ROUNDS), soundscapes):
            mixed, spoken = _mix(soundscape, said, level_db, seed)
            length_ms = len(mixed) * 1000 // RATE_HZ
            tally.add(spoken, list(unite(_find(mixed, rules))), length_ms)
        hours = tally.quiet_ms / 3_600_000
        print(
            f"| {level_db:+d} dB | {tally.found_ms / tally.spoken_ms:.1%} "
            f"| {tally.hit} of {tally.phrases} | {tally.whole} of {tally.phrases} "
            f"| {tally.false_alarms} in {hours:.2f} h "
            f"| {tally.too_much_ms / tally.spoken_ms:.0%} |",
            flush=True,
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("soundscapes", nargs="+", type=Path)
    parser.add_argument("--speech", nargs="+", type=Path, default=[])
    options = parser.parse_args()
    soundscapes = [_read(path) for path in options.soundscapes]
    sentences = [_read(path) for path in options.speech]
    sentences = sentences or [speak(text, voice) for voice, text in product(_VOICES, SENTENCES)]
    total_s = sum(map(len, soundscapes)) / RATE_HZ
    print(f"{len(soundscapes)} soundscapes, {total_s:.0f} s; {_ROUNDS} rounds\n")
    for name, rules in _RULES.items():
        alone = sum(len(_find(one, rules)) for one in soundscapes)
        print(f"{name} rules; {alone} segments in the soundscapes alone\n")
        print("| level | spoken time found | phrases found | to 95 % | false alarms | too much |")
        print("|---|---|---|---|---|---|")
        _measure(soundscapes, sentences, rules)
        print()
    longest = max(options.soundscapes, key=lambda path: path.stat().st_size)
    with AudioFile(longest) as audio:
        started, length_s = time.process_time(), audio.n_samples / audio.sample_rate_hz
        find_speech_in(audio)
        speed = length_s / (time.process_time() - started)
    print(f"{longest.name} ({length_s:.0f} s): {speed:.0f} times real time on one core")


if __name__ == "__main__":
    main()
