"""Subtitles can be read, are in order and do not overlap."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.media.documents import Turn, Utterance, Word
from badc_core.media.srt import LINE_CHARACTERS, LINES, LONGEST_MS, Cue, cut_cues, wrap, write_srt


def word(start_ms, end_ms, text):
    return Word(start_ms=start_ms, end_ms=end_ms, word=text, probability=1.0)


def say(*words):
    text = " ".join(one.word for one in words)
    return Utterance(start_ms=words[0].start_ms, end_ms=words[-1].end_ms, text=text, words=words)


def steady(texts, start_ms=0, word_ms=300):
    return [
        word(start_ms + n * word_ms, start_ms + (n + 1) * word_ms, text)
        for n, text in enumerate(texts)
    ]


def test_a_cue_begins_with_its_first_word_and_ends_with_its_last():
    cues = cut_cues([say(word(1000, 1400, "Good"), word(1400, 2600, "morning."))])
    assert cues == [Cue(1000, 2600, "Good morning.")]


def test_the_file_is_srt_to_the_letter():
    cues = [
        Cue(0, 999, "One"),
        Cue(3_599_999, 3_600_001, "Two"),
        Cue(360_000_000, 360_001_000, "3"),
    ]
    assert write_srt(cues) == (
        "1\n00:00:00,000 --> 00:00:00,999\nOne\n\n"
        "2\n00:59:59,999 --> 01:00:00,001\nTwo\n\n"
        "3\n100:00:00,000 --> 100:00:01,000\n3\n\n"
    )
    assert write_srt([]) == ""


def test_a_short_cue_stays_long_enough_to_be_read_but_not_into_the_next():
    alone = cut_cues([say(word(0, 100, "Hm."))])
    assert alone == [Cue(0, 833, "Hm.")]
    followed = cut_cues([say(word(0, 100, "Hm.")), say(word(1100, 2000, "Well."))])
    assert followed == [Cue(0, 833, "Hm."), Cue(1100, 2000, "Well.")]
    turns = [
        Turn(start_ms=0, end_ms=200, speaker="A"),
        Turn(start_ms=200, end_ms=2000, speaker="B"),
    ]
    close = cut_cues([say(word(0, 100, "Hm.")), say(word(300, 1200, "Well."))], turns)
    assert close == [Cue(0, 300, "A: Hm."), Cue(300, 1200, "B: Well.")]


def test_a_pause_a_full_cue_and_a_long_time_begin_a_new_cue():
    paused = cut_cues([say(word(0, 500, "One"), word(1500, 2000, "two"))])
    assert [cue.text for cue in paused] == ["One", "two"]
    joined = cut_cues([say(word(0, 500, "One"), word(1499, 2000, "two"))])
    assert [cue.text for cue in joined] == ["One two"]
    full = cut_cues([say(*steady(["abcdefghi"] * 12))])
    assert [len(cue.text.split()) for cue in full] == [8, 4]
    slow = cut_cues([say(*steady(["so"] * 10, word_ms=1000))])
    assert [cue.end_ms - cue.start_ms for cue in slow] == [7000, 3000]


def test_a_word_that_lasts_too_long_is_not_shown_so_long():
    assert cut_cues([say(word(0, 60_000, "Aaah"))]) == [Cue(0, LONGEST_MS, "Aaah")]


def test_speakers_are_named_and_kept_apart_where_there_are_several():
    said = [say(word(0, 400, "Hello."), word(500, 900, "Hi."), word(5000, 5400, "Rain."))]
    two = [
        Turn(start_ms=0, end_ms=450, speaker="SPEAKER_00"),
        Turn(start_ms=450, end_ms=1000, speaker="SPEAKER_01"),
    ]
    texts = [cue.text for cue in cut_cues(said, two)]
    assert texts == ["SPEAKER_00: Hello.", "SPEAKER_01: Hi.", "Rain."]
    assert [cue.text for cue in cut_cues(said, two[:1])] == ["Hello. Hi.", "Rain."]


def test_an_utterance_without_times_of_words_shares_its_time_by_characters():
    text = "one two three " * 10
    cues = cut_cues([Utterance(start_ms=0, end_ms=6000, text=text)])
    assert " ".join(cue.text for cue in cues).split() == text.split()
    assert cues[0].start_ms == 0
    assert cues[-1].end_ms == 6000
    assert len(cues) == 2


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("  a\n\nblank   line  ", ["a blank line"]),
        ("00:01 --> 00:02", ["00:01 → 00:02"]),
        ("x" * 60, ["x" * 60]),
        (
            "Please check the batteries before you walk back to the truck.",
            ["Please check the batteries before", "you walk back to the truck."],
        ),
    ],
)
def test_lines_are_about_as_long_and_hold_no_arrow(text, lines):
    assert wrap(text).splitlines() == lines


_WORDS = st.lists(
    st.tuples(st.integers(0, 30_000), st.integers(0, 9_000), st.text("ab c.-é>\n", max_size=15)),
    max_size=40,
)


@given(_WORDS, st.booleans())
def test_cues_are_in_order_hold_every_word_once_and_fit_the_screen(drawn, has_turns):
    words = [word(start, start + length, text) for start, length, text in drawn]
    turns = [
        Turn(start_ms=start, end_ms=start + 1000, speaker=str(start % 3000))
        for start in range(0, 30_000 if has_turns else 0, 1000)
    ]
    cues = cut_cues([say(one) for one in words], turns)
    times = [time for cue in cues for time in (cue.start_ms, cue.end_ms)]
    assert times == sorted(times)
    assert all(cue.start_ms < cue.end_ms for cue in cues)
    shown = " ".join(re.sub(r"^\d+: ", "", cue.text) for cue in cues)
    spoken = " ".join(one.word for one in words)
    assert sorted(shown.replace(" ", "")) == sorted(re.sub(r"[ ]", "", spoken)) or "\n" in spoken
    for block in write_srt(cues).split("\n\n")[:-1]:
        number, clock, *lines = block.split("\n")
        assert number.isdigit()
        assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", clock)
        assert 1 <= len(lines) <= LINES
        assert all(len(line) <= LINE_CHARACTERS for line in lines)
        assert "-->" not in "".join(lines)
