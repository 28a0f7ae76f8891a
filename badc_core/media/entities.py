"""Names in texts, by rule: words with capital letters, and words that places are called by.

Pure text. Which texts are searched is decided in `pre_ner.py`, what is corrected in `post_ner.py`.
"""

import re
from collections.abc import Iterable

from badc_core.media.documents import Entity

PERSON, PLACE, NAME = "person", "place", "name"

_PLACE_WORDS = frozenset(
    {
        *("bay", "beach", "bog", "bridge", "canyon", "city", "coast", "county", "creek", "desert"),
        *("fen", "field", "forest", "fort", "glacier", "hill", "hills", "island", "islands"),
        *("lake", "lakes", "marsh", "meadow", "mount", "mountain", "mountains", "park", "pond"),
        *("reserve", "ridge", "river", "road", "sea", "street", "swamp", "trail", "valley"),
        *("village", "woods"),
    }
)
_CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w'\u2019.-]*"
_NGRAM = re.compile(rf"{_CAPITAL}(?:(?: (?:of|the|de|van|von))* {_CAPITAL})*")
_SENTENCE_START = re.compile(r"(?:^|[.!?…:;]\s+|\n|[\"“])\s*$")
_COMMON = frozenset(
    {
        *("a", "after", "all", "also", "an", "and", "are", "as", "at", "before", "but", "by"),
        *("can", "did", "do", "does", "every", "for", "from", "good", "had", "has", "have", "he"),
        *("her", "here", "his", "how", "i", "i'd", "i'll", "i'm", "i've", "if", "in", "is", "it"),
        *("it's", "let", "let's", "look", "may", "maybe", "my", "no", "nobody", "not", "now", "of"),
        *("oh", "ok", "okay", "on", "one", "or", "our", "please", "she", "so", "some", "that"),
        *("that's", "the", "their", "then", "there", "there's", "these", "they", "this", "those"),
        *("to", "two", "was", "we", "we're", "well", "were", "what", "when", "where", "which"),
        *("while", "who", "why", "will", "with", "would", "yes", "you", "your"),
    }
)


def find_names(text: str) -> list[Entity]:
    """Returns the runs of capitalised words of a text, in order of their first place, each once.

    Words that are common in English are no names by themselves, nor is a single word at the start
    of a sentence.
    """
    found: dict[str, Entity] = {}
    for match in _NGRAM.finditer(text):
        is_start = _SENTENCE_START.search(text[: match.start()]) is not None
        words = match[0].rstrip(".'\u2019-").split()
        while words and words[0].lower() in _COMMON:
            words, is_start = words[1:], False
        while words and not words[0][0].isupper():
            words = words[1:]
        if not words or (is_start and len(words) == 1):
            continue
        name = " ".join(words)
        if len(name) > 1:
            found.setdefault(name.lower(), Entity(text=name, kind=_kind(words)))
    return list(found.values())


def unique(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """Returns entities in order, each name once; what is known of the first counts."""
    found: dict[str, Entity] = {}
    for one in entities:
        found.setdefault(one.text.lower(), one)
    return tuple(found.values())


def prompt_of(entities: Iterable[Entity]) -> str:
    """Returns a sentence with the names, which makes a recogniser write them so; empty for none."""
    names = ", ".join(one.text for one in entities)
    return f"{names}." if names else ""


def _kind(words: list[str]) -> str:
    is_place = len(words) > 1 and not _PLACE_WORDS.isdisjoint({words[0].lower(), words[-1].lower()})
    return PLACE if is_place else NAME
