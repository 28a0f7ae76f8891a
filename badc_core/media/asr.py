"""Stage 7, asr: what is said, word by word. The recognisers are in `recognisers.py`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from badc_core.audio.reader import AudioFile, Samples
from badc_core.errors import ConfigInvalid
from badc_core.media.documents import (
    Entities,
    Speech,
    Transcript,
    Utterance,
    read_document,
    speech_times,
    write_document,
)
from badc_core.media.entities import prompt_of
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.recognisers import GIVE_MODEL, Recogniser, load_recogniser
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult
from badc_core.media_settings import MediaSettings

_LONGEST_CLIP_MS = 28_000
"""Whisper hears 30 s at once, so neighbours are put together up to nearly that."""
_SHORTEST_MISSED_MS = 1000
_LEAST_MISSED = 0.5
"""Shorter or less certain segments are often no speech, of which Whisper would make words."""
_MOST_PROMPT_CHARACTERS = 800
"""Whisper reads the last 223 tokens of a prompt: about so much English."""


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:
    """Writes the transcript of the stretches in which somebody speaks.

    Raises:
        InputOutdated: demux or silero_vad has not run.
        PackageMissing: no recogniser is installed.
        ConfigInvalid: the model of the settings cannot be used, or does not know the language.
        UnreadableRecording: the sound is damaged.
        StorageFull, OutputUnwritable: the transcript cannot be written.
    """
    discard(folder.transcript)
    segments = speech_times(folder).segments
    prompt, source = find_prompt(folder)
    recogniser = load_recogniser(settings, prompt)
    if settings.language not in recogniser.languages:
        what = f"the model does not know the language {settings.language}"
        raise ConfigInvalid(what, recogniser.model, GIVE_MODEL)
    with AudioFile(folder.require(folder.audio, "demux")) as audio:
        sound = audio.read(0, audio.n_samples)
    said = recognise(recogniser, sound, segments)
    transcript = Transcript(
        language=settings.language,
        model=recogniser.model,
        prompt_source=source,
        segments=tuple(said),
    )
    write_document(folder.transcript, transcript)
    return MediaResult(
        {"transcript": MediaOutput(folder.transcript, "What was said, word by word")},
        {
            "word_count": sum(len(one.text.split()) for one in transcript.segments),
            "segment_count": len(transcript.segments),
            "model": transcript.model,
            "language": transcript.language,
            "task": "transcribe",
        },
        {one.name: one for one in _own_prompts(folder, source)},
    )


def recognise(
    recogniser: Recogniser, sound: Samples, segments: Sequence[Speech]
) -> list[Utterance]:
    """Returns what is said in some segments, in order.

    Whisper understands more in longer clips, but sometimes leaves out the last sentence of one: a
    segment in which it heard nothing is given to it again, alone.
    """
    said = _recognise_clips(recogniser, sound, join_clips(segments))
    missed = [
        (one.start_ms, one.end_ms)
        for one in segments
        if one.end_ms - one.start_ms >= _SHORTEST_MISSED_MS
        and one.probability >= _LEAST_MISSED
        and not any(it.start_ms < one.end_ms and one.start_ms < it.end_ms for it in said)
    ]
    said += _recognise_clips(recogniser, sound, missed)
    return sorted(said, key=lambda one: one.start_ms)


def _recognise_clips(
    recogniser: Recogniser, sound: Samples, clips: Sequence[tuple[int, int]]
) -> list[Utterance]:
    clips_s = [(start / 1000, end / 1000) for start, end in clips]
    found = recogniser.recognise(sound, clips_s) if clips_s else []
    return [one for one in found if one.text]


def join_clips(segments: Iterable[Speech]) -> list[tuple[int, int]]:
    """Returns stretches in ms that cover all segments, as few and as long as Whisper hears."""
    clips: list[tuple[int, int]] = []
    for one in segments:
        if clips and one.end_ms - clips[-1][0] <= _LONGEST_CLIP_MS:
            clips[-1] = clips[-1][0], one.end_ms
        else:
            clips.append((one.start_ms, one.end_ms))
    return clips


def find_prompt(folder: MediaFolder) -> tuple[str, str]:
    """Returns what prepares the recogniser, and the name of its file; empty texts for nothing.

    The first that is there and not empty counts: names found before, the user's combined prompt,
    the user's prompt, a sentence of the names in `pre_ner.json`.
    """
    for path in (folder.ner_prompt, folder.combined_prompt, folder.initial_prompt):
        if path.is_file() and (text := path.read_text(encoding="utf-8").strip()):
            return text[-_MOST_PROMPT_CHARACTERS:], path.name
    if folder.pre_ner.is_file():
        entities = read_document(folder, folder.pre_ner, Entities, "pre_ner").entities
        if text := prompt_of(entities):
            return text[-_MOST_PROMPT_CHARACTERS:], folder.pre_ner.name
    return "", ""


def _own_prompts(folder: MediaFolder, source: str) -> Sequence[Path]:
    """Returns the user's files that were looked for before one became the prompt, or none."""
    if source == folder.ner_prompt.name:
        return ()
    both = (folder.combined_prompt, folder.initial_prompt)
    return both[:1] if source == folder.combined_prompt.name else both
