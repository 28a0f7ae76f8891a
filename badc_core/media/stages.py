"""The ten stages in their order; each is in the module of its name.

Whoever runs them keeps the record of what was done: the stages only know their files.
"""

from collections.abc import Callable
from dataclasses import dataclass

from badc_core.media import (
    asr,
    demux,
    diarization,
    mux,
    post_ner,
    pre_ner,
    pyannote_vad,
    silero_vad,
    subtitle_gen,
    tmdb,
)
from badc_core.media.folder import MediaFolder
from badc_core.media.recognisers import can_use_gpu
from badc_core.media.results import MediaEnd
from badc_core.media_settings import MediaSettings


@dataclass(frozen=True)
class MediaStage:
    """A stage.

    Attributes:
        name: as in manifests and settings.
        run: does its work.
        after: the stages whose outputs it reads, where they are there.
        timeout_s: after which it should be given up.
        is_critical: whether its failure ends the pipeline; a skipped stage is no failure.
        attempts: how often it is tried.
        can_use_gpu: whether it would use a GPU, under some settings.
    """

    name: str
    run: Callable[[MediaFolder, MediaSettings], MediaEnd]
    after: tuple[str, ...]
    timeout_s: int
    is_critical: bool = True
    attempts: int = 1
    can_use_gpu: Callable[[MediaSettings], bool] = lambda _: False


STAGES = (
    MediaStage("demux", demux.run, (), 600),
    MediaStage("tmdb", tmdb.run, (), 120, is_critical=False),
    MediaStage("pre_ner", pre_ner.run, ("tmdb",), 300, is_critical=False),
    MediaStage("silero_vad", silero_vad.run, ("demux",), 1800),
    MediaStage("pyannote_vad", pyannote_vad.run, ("demux", "silero_vad"), 3600),
    MediaStage("diarization", diarization.run, ("demux",), 7200),
    MediaStage(
        "asr",
        asr.run,
        ("demux", "pre_ner", "silero_vad", "pyannote_vad"),
        14_400,
        attempts=2,
        can_use_gpu=can_use_gpu,
    ),
    MediaStage("post_ner", post_ner.run, ("pre_ner", "asr"), 1200, is_critical=False),
    MediaStage("subtitle_gen", subtitle_gen.run, ("diarization", "asr", "post_ner"), 600),
    MediaStage("mux", mux.run, ("subtitle_gen",), 600),
)
