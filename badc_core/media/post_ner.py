"""Stage 8, post_ner: names that were misheard, corrected to those that are known.

Source: RapidFuzz, `fuzz.ratio`: normalised similarity by insertions and deletions, 0 to 100.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from badc_core.errors import PackageMissing
from badc_core.media.documents import (
    Corrected,
    Correction,
    Entities,
    Entity,
    Transcript,
    Utterance,
    Word,
    read_document,
    write_document,
)
from badc_core.media.entities import find_names, unique
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import INSTALL, MediaEnd, MediaOutput, MediaResult
from badc_core.media_settings import MediaSettings

_SHORTEST_NAME = 4
"""Shorter ones are too much like other words."""
_AROUND = ".,;:!?\"'()…"

Similarity = Callable[[str, str], float]


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:
    """Writes the names that were spoken, and the transcript with known names corrected.

    Raises:
        InputOutdated: asr has not run.
        PackageMissing: the package rapidfuzz is not installed.
        StorageFull, OutputUnwritable: they cannot be written.
    """
    discard(folder.post_ner)
    said = read_document(folder, folder.transcript, Transcript, "asr").segments
    known: Sequence[Entity] = ()
    if folder.pre_ner.is_file():
        known = read_document(folder, folder.pre_ner, Entities, "pre_ner").entities
    try:
        ratio: Similarity = import_module("rapidfuzz.fuzz").ratio
    except ImportError as error:
        raise PackageMissing("the package rapidfuzz is not installed", "", INSTALL) from error
    corrections: list[Correction] = []
    segments = tuple(
        correct(one, known, settings.correction_score, ratio, corrections) for one in said
    )
    entities = _spoken_names(segments, known)
    write_document(
        folder.post_ner,
        Corrected(entities=entities, corrections=tuple(corrections), segments=segments),
    )
    return MediaResult(
        {
            "entities": MediaOutput(
                folder.post_ner, "Names that were spoken, and the corrected text"
            )
        },
        {
            "corrections_made": len(corrections),
            "entity_count": len(entities),
            "confidence_threshold": settings.correction_score,
        },
    )


def correct(
    utterance: Utterance,
    known: Sequence[Entity],
    least_score: float,
    ratio: Similarity,
    corrections: list[Correction],
) -> Utterance:
    """Returns an utterance in which words that are nearly a known name are that name.

    There must be a capital in the words, and more than the case of letters must differ. The longest
    names come first. An utterance without times of words stays as it is.

    Args:
        utterance: what was said.
        known: names, in any order.
        least_score: how similar words must be, 0 to 100.
        ratio: how similar two texts are, 0 to 100.
        corrections: what was corrected is added.
    """
    words = list(utterance.words)
    found: list[Correction] = []
    for name in sorted(known, key=lambda one: (-len(one.text.split()), one.text)):
        n_words = len(name.text.split())
        if len(name.text) < _SHORTEST_NAME:
            continue
        for start in range(len(words) - n_words + 1):
            group = words[start : start + n_words]
            said = " ".join(one.word for one in group).strip(_AROUND)
            score = ratio(said.lower(), name.text.lower())
            has_capital = any(one[:1].isupper() for one in said.split())
            if has_capital and said.lower() != name.text.lower() and score >= least_score:
                words[start : start + n_words] = _renamed(group, name.text)
                found.append(
                    Correction(
                        start_ms=group[0].start_ms,
                        said=said,
                        name=name.text,
                        score=round(score, 1),
                    )
                )
    if not found:
        return utterance
    corrections += found
    text = " ".join(one.word for one in words)
    return utterance.model_copy(update={"words": tuple(words), "text": text})


def _renamed(group: Sequence[Word], name: str) -> Iterator[Word]:
    """Yields words with a name's texts, and what stood before the first and after the last."""
    texts = name.split()
    first, last = group[0].word, group[-1].word
    texts[0] = first[: len(first) - len(first.lstrip(_AROUND))] + texts[0]
    texts[-1] += last[len(last.rstrip(_AROUND)) :]
    for word, text in zip(group, texts, strict=True):
        yield word.model_copy(update={"word": text})


def _spoken_names(segments: Sequence[Utterance], known: Sequence[Entity]) -> tuple[Entity, ...]:
    """Returns the known names that were spoken, and what else looks like a name."""
    text = "\n".join(one.text for one in segments)
    spoken = [one for one in known if one.text.lower() in text.lower()]
    return unique([*spoken, *find_names(text)])
