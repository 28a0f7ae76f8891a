"""Stage 10, mux: the video with its subtitles as a track that players can switch on.

Source: https://ffmpeg.org/ffmpeg.html, -map, -c, -metadata; MPEG-4 part 17 (mov_text).
"""

from badc_core.atomic import replacing
from badc_core.errors import UnreadableRecording
from badc_core.media.ffmpeg_call import run_ffmpeg
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult, Skipped
from badc_core.media_settings import MediaSettings

_TRACKS = ("-map", "0:v?", "-map", "0:a?", "-map", "1:0", "-c:s", "mov_text")
_COPY = ("-c:v", "copy", "-c:a", "copy")
_LANGUAGES = {"en": "eng", "fr": "fra", "de": "deu", "es": "spa", "hi": "hin", "it": "ita"}
"""Codes of ISO 639-1 and those that MP4 has; others of three letters stay, of two are `und`."""
_CODE_CHARACTERS = 3


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:
    """Writes an MP4 with picture and sound as they are, and a track of subtitles.

    What MP4 cannot hold as it is, such as VP8, is encoded again by ffmpeg's usual encoders.

    Raises:
        InputOutdated: subtitle_gen has not run.
        ProgramMissing: there is no ffmpeg.
        ContentMissing: the video is not there.
        UnreadableRecording: ffmpeg cannot write it as an MP4; its reason is in the message.
        StorageFull, OutputUnwritable: the video cannot be written.
    """
    discard(folder.final_video)
    subtitles = folder.require(folder.subtitles, "subtitle_gen")
    if not subtitles.stat().st_size:
        return Skipped("nobody speaks, so there are no subtitles")
    language = _LANGUAGES.get(settings.language, settings.language)
    language = language if len(language) == _CODE_CHARACTERS else "und"
    options = [*_TRACKS, "-metadata:s:s:0", f"language={language}", "-f", "mp4"]
    inputs = [folder.video, subtitles]
    with replacing(folder.final_video) as aside:
        is_copy = run_ffmpeg(inputs, [*_COPY, *options], aside) is None
        failed = None if is_copy else run_ffmpeg(inputs, options, aside)
        if failed is not None:
            what = f"it cannot be written as MP4 (ffmpeg: {failed.reason})"
            raise UnreadableRecording(what, folder.video, "Try to play it, or copy it again")
    return MediaResult(
        {"final_video": MediaOutput(folder.final_video, "The video with subtitles")},
        {
            "input_video": str(folder.video),
            "subtitle_track": language,
            "codec": "mov_text",
            "encoded_again": not is_copy,
            "file_size_mb": round(folder.final_video.stat().st_size / (1024 * 1024), 3),
        },
    )
