"""Stage 6, diarization: who speaks when."""

from badc_core.media.documents import Turn, Turns, write_document
from badc_core.media.folder import MediaFolder, discard
from badc_core.media.pyannote import load_pretrained, sound_for_pyannote
from badc_core.media.results import MediaEnd, MediaOutput, MediaResult, Skipped
from badc_core.media_settings import MediaSettings

MODEL = "pyannote/speaker-diarization-3.1"


def run(folder: MediaFolder, settings: MediaSettings) -> MediaEnd:  # noqa: ARG001  (as all stages)
    """Writes who speaks when; speakers are numbered, not known by name.

    Raises:
        InputOutdated: demux has not run.
        StorageFull, OutputUnwritable: the turns cannot be written.
    """
    discard(folder.speaker_segments)
    sound = folder.require(folder.audio, "demux")
    pipeline = load_pretrained("Pipeline", MODEL)
    if isinstance(pipeline, Skipped):
        return pipeline
    output = pipeline(sound_for_pyannote(sound))
    annotation = getattr(output, "speaker_diarization", output)  # since pyannote.audio 4
    turns = tuple(
        Turn(start_ms=round(one.start * 1000), end_ms=round(one.end * 1000), speaker=str(speaker))
        for one, _, speaker in annotation.itertracks(yield_label=True)
    )
    write_document(folder.speaker_segments, Turns(model=MODEL, segments=turns))
    return MediaResult(
        {"speakers": MediaOutput(folder.speaker_segments, "Who speaks when")},
        {"speaker_count": len({one.speaker for one in turns}), "model": MODEL},
    )
