"""Stage 5, pyannote_vad: where somebody speaks, by a larger model than Silero's.

Where it is skipped, Silero's segments count: `documents.speech_times` chooses. The model is one of
those of the diarization, used as its card says. pyannote.audio 4 refuses the pipeline
pyannote/voice-activity-detection, as that names its model with an `@`.

Source: https://huggingface.co/pyannote/segmentation-3.0
"""

from importlib import import_module

from badc_core.media.documents import Speech, SpeechTimes, read_document, write_document
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.pyannote import load_pretrained, sound_for_pyannote
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult, Skipped
from badc_core.media_settings import MediaSettings

MODEL = "pyannote/segmentation-3.0"
_RULES = {"min_duration_on": 0.0, "min_duration_off": 0.0}
"""Seconds: shorter speech is dropped, shorter pauses are filled."""


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:  # noqa: ARG001  (as all stages)
    """Writes the segments in which somebody speaks.

    Raises:
        InputOutdated: demux or silero_vad has not run.
        StorageFull, OutputUnwritable: the segments cannot be written.
    """
    discard(folder.pyannote_segments)
    silero = read_document(folder, folder.silero_segments, SpeechTimes, "silero_vad").segments
    sound = folder.require(folder.audio, "demux")
    model = load_pretrained("Model", MODEL)
    if isinstance(model, Skipped):
        return model
    pipeline = import_module("pyannote.audio.pipelines").VoiceActivityDetection(segmentation=model)
    pipeline.instantiate(_RULES)
    segments = tuple(
        Speech(start_ms=round(one.start * 1000), end_ms=round(one.end * 1000), probability=1.0)
        for one in pipeline(sound_for_pyannote(sound)).get_timeline().support()
    )
    write_document(folder.pyannote_segments, SpeechTimes(model=MODEL, segments=segments))
    before = {(one.start_ms, one.end_ms) for one in silero}
    refined = [one for one in segments if (one.start_ms, one.end_ms) not in before]
    return MediaResult(
        {"segments": MediaOutput(folder.pyannote_segments, "Where somebody speaks, by pyannote")},
        {"segment_count": len(segments), "refined_segments": len(refined), "model": MODEL},
    )
