"""Stage 9, subtitle_gen: what was said as an SRT file. How it is cut is decided in `srt.py`."""

from badc_core.atomic import write_text
from badc_core.media.documents import Turn, Turns, read_document, spoken
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult
from badc_core.media.srt import cut_cues, write_srt
from badc_core.media_settings import MediaSettings


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:
    """Writes the subtitles; an empty file where nobody speaks.

    Raises:
        InputOutdated: asr has not run.
        StorageFull, OutputUnwritable: the subtitles cannot be written.
    """
    discard(folder.subtitles)
    turns: tuple[Turn, ...] = ()
    if folder.speaker_segments.is_file():
        turns = read_document(folder, folder.speaker_segments, Turns, "diarization").segments
    cues = cut_cues(spoken(folder), turns)
    write_text(folder.subtitles, write_srt(cues))
    return MediaResult(
        {"subtitles": MediaOutput(folder.subtitles, "What was said, as subtitles")},
        {
            "subtitle_count": len(cues),
            "format": "srt",
            "language": settings.language,
            "speaker_labels": len({one.speaker for one in turns}) > 1,
        },
    )
