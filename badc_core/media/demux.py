"""Stage 1, demux: the sound of a video, as the later stages need it."""

from pathlib import Path

import soundfile as sf

from badc_core.atomic import replacing
from badc_core.audio.ffmpeg_messages import FfmpegReport
from badc_core.chunks.muting import require_unmuted
from badc_core.errors import UnreadableRecording
from badc_core.media.documents import write_document
from badc_core.media.ffmpeg_call import run_ffmpeg
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult
from badc_core.media_settings import MediaSettings
from badc_core.speech.find import RATE_HZ

_IN_TIME = "aresample=async=1:first_pts=0"
"""Silence where sound begins later than the picture or is missing, so that times are the video's.

Source: https://ffmpeg.org/ffmpeg-resampler.html (async, first_pts).
"""

_OTHER = "Use a file in which somebody speaks"


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:  # noqa: ARG001  (as all stages)
    """Writes the first track of sound as a WAV of 16,000 Hz, mono, 16 bit.

    Raises:
        ProgramMissing: there is no ffmpeg.
        ConfigInvalid: the video is in a dataset that mutes speech.
        ContentMissing: the video is not there.
        UnreadableRecording: it cannot be decoded to its end, or has no sound.
        StorageFull, OutputUnwritable: the sound cannot be written.
    """
    discard(folder.audio, folder.audio_metadata)
    require_unmuted(folder.video)
    options = ["-map", "0:a:0", "-ar", str(RATE_HZ), "-ac", "1", "-af", _IN_TIME]
    options += ["-c:a", "pcm_s16le", "-f", "wav"]
    with replacing(folder.audio) as aside:
        failed = run_ffmpeg([folder.video], options, aside)
        if failed is not None:
            raise _explain(failed, folder.video)
        found = sf.info(aside)
        if not found.frames:
            raise UnreadableRecording("there is no sound in it", folder.video, _OTHER)
    metadata = {
        "sample_rate": found.samplerate,
        "channels": found.channels,
        "duration": round(found.duration, 3),
    }
    write_document(folder.audio_metadata, {"source": folder.video.name, **metadata})
    outputs = {
        "audio": MediaOutput(folder.audio, "Sound, 16,000 Hz mono"),
        "metadata": MediaOutput(folder.audio_metadata, "What the sound is"),
    }
    return MediaResult(outputs, metadata)


def _explain(failed: FfmpegReport, video: Path) -> UnreadableRecording:
    """Returns why ffmpeg got no sound out of a file."""
    if failed.container and not failed.n_tracks:
        return UnreadableRecording("there is no sound in it", video, _OTHER)
    if not failed.container and not failed.is_cut_off:
        return UnreadableRecording("it is neither sound nor video", video, _OTHER)
    what = f"its sound cannot be decoded (ffmpeg: {failed.reason})"
    return UnreadableRecording(what, video, "Try to play it, or copy it again")
