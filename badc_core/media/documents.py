"""The JSON files of the media pipeline, as values: the one place that knows their keys.

Times are integer milliseconds from the start of the file. Paths are in `folder.py`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from badc_core.atomic import write_text
from badc_core.errors import InputOutdated
from badc_core.media.folder import MediaFolder
from badc_core.speech.segments import SpeechSegment


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Word(_Document):
    """A spoken word; its time is half-open.

    Attributes:
        probability: that it was this word, 0 to 1.
    """

    start_ms: int
    end_ms: int
    word: str
    probability: float


class Utterance(_Document):
    """Words said in one breath.

    Attributes:
        words: in order; empty where the recogniser gives no times of words.
    """

    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()


class Transcript(_Document):
    """What was said.

    Attributes:
        prompt_source: the file that prepared the recogniser; empty for none.
    """

    language: str
    model: str
    prompt_source: str
    segments: tuple[Utterance, ...]


class Speech(_Document):
    """A stretch in which somebody speaks."""

    start_ms: int
    end_ms: int
    probability: float


class SpeechTimes(_Document):
    """Where somebody speaks."""

    model: str
    segments: tuple[Speech, ...]

    @classmethod
    def of(cls, model: str, segments: Iterable[SpeechSegment]) -> "SpeechTimes":
        """Returns the document of some segments."""
        rounded = (one._replace(probability=round(one.probability, 3)) for one in segments)
        return cls(model=model, segments=tuple(Speech(**one._asdict()) for one in rounded))


class Turn(_Document):
    """A stretch in which one person speaks."""

    start_ms: int
    end_ms: int
    speaker: str


class Turns(_Document):
    """Who speaks when."""

    model: str
    segments: tuple[Turn, ...]


class Entity(_Document):
    """A name.

    Attributes:
        kind: person, place or name.
    """

    text: str
    kind: str


class Entities(_Document):
    """Names that may be spoken."""

    entities: tuple[Entity, ...]


class Correction(_Document):
    """Words that were replaced by a name.

    Attributes:
        score: how similar they are, 0 to 100.
    """

    start_ms: int
    said: str
    name: str
    score: float


class Corrected(_Document):
    """Names that were spoken, and the transcript with these corrected."""

    entities: tuple[Entity, ...]
    corrections: tuple[Correction, ...]
    segments: tuple[Utterance, ...]


_Kind = TypeVar("_Kind", bound=_Document)


def write_document(path: Path, content: BaseModel | Mapping[str, Any]) -> None:
    """Replaces a JSON file.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    plain = content.model_dump() if isinstance(content, BaseModel) else dict(content)
    write_text(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def read_document(folder: MediaFolder, path: Path, kind: type[_Kind], stage: str) -> _Kind:
    """Returns what a stage wrote.

    Args:
        folder: the video's.
        path: the file, one of the folder's.
        kind: what is in it.
        stage: which wrote it.

    Raises:
        InputOutdated: it is not there, or is not what the stage writes today.
    """
    try:
        return kind.model_validate_json(folder.require(path, stage).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        what = f"cannot be read ({first['msg']})"
        raise InputOutdated(what, path, f"Run the stage {stage} again") from error


def speech_times(folder: MediaFolder) -> SpeechTimes:
    """Returns where somebody speaks: by pyannote where that ran, else by Silero.

    Raises:
        InputOutdated: neither ran.
    """
    if folder.pyannote_segments.is_file():
        return read_document(folder, folder.pyannote_segments, SpeechTimes, "pyannote_vad")
    return read_document(folder, folder.silero_segments, SpeechTimes, "silero_vad")


def spoken(folder: MediaFolder) -> Sequence[Utterance]:
    """Returns what was said: with names corrected where post_ner ran, else as it was recognised.

    Raises:
        InputOutdated: nothing was recognised yet.
    """
    if folder.post_ner.is_file():
        return read_document(folder, folder.post_ner, Corrected, "post_ner").segments
    return read_document(folder, folder.transcript, Transcript, "asr").segments
