"""Every path of a video's outputs, for the stages that write and for those that read.

What is in the JSON files is decided in `documents.py`.
"""

from dataclasses import dataclass
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.errors import ConfigInvalid, InputOutdated


@dataclass(frozen=True)
class MediaFolder:
    """A video or sound file, and the folder of what the stages make from it.

    Attributes:
        video: the file; it may lie elsewhere, and is only read.
        root: the folder of the outputs.
    """

    video: Path
    root: Path

    def __post_init__(self) -> None:
        """Refuses a video that a stage would write over.

        Raises:
            ConfigInvalid: it has the place of an output.
        """
        if self.video.resolve() in {self.audio.resolve(), self.final_video.resolve()}:
            what = "the video is where an output of it would be written"
            raise ConfigInvalid(what, self.video, "Choose another folder for the outputs")

    @property
    def audio(self) -> Path:
        """Its sound: WAV, 16,000 Hz, mono, 16 bit."""
        return self.root / "audio" / "audio.wav"

    @property
    def audio_metadata(self) -> Path:
        """What the sound is."""
        return self.root / "audio" / "metadata.json"

    @property
    def tmdb(self) -> Path:
        """What TMDB knows of the film."""
        return self.root / "metadata" / "tmdb_data.json"

    @property
    def pre_ner(self) -> Path:
        """Names that may be spoken."""
        return self.root / "entities" / "pre_ner.json"

    @property
    def post_ner(self) -> Path:
        """Names that were spoken, and the transcript with these corrected."""
        return self.root / "entities" / "post_ner.json"

    @property
    def ner_prompt(self) -> Path:
        """The names as a sentence that prepares the recogniser."""
        return self.root / "prompts" / "ner_enhanced_prompt.txt"

    @property
    def combined_prompt(self) -> Path:
        """A user's own sentence for the recogniser; the first that is there counts."""
        return self.root / f"{self.video.stem}.combined.initial_prompt.txt"

    @property
    def initial_prompt(self) -> Path:
        """Another, if there is no combined one."""
        return self.root / f"{self.video.stem}.initial_prompt.txt"

    @property
    def silero_segments(self) -> Path:
        """Where somebody speaks, by Silero."""
        return self.root / "vad" / "silero_segments.json"

    @property
    def pyannote_segments(self) -> Path:
        """The same, by pyannote."""
        return self.root / "vad" / "pyannote_segments.json"

    @property
    def speaker_segments(self) -> Path:
        """Who speaks when."""
        return self.root / "diarization" / "speaker_segments.json"

    @property
    def transcript(self) -> Path:
        """What was said, word by word."""
        return self.root / "transcription" / "transcript.json"

    @property
    def subtitles(self) -> Path:
        """What was said, as subtitles."""
        return self.root / "subtitles" / "subtitles.srt"

    @property
    def final_video(self) -> Path:
        """The video with its subtitles."""
        return self.root / "final_output.mp4"

    def require(self, path: Path, stage: str) -> Path:
        """Returns a file that a stage must have written.

        Raises:
            InputOutdated: it is not there.
        """
        if not path.is_file():
            where = path.relative_to(self.root)
            raise InputOutdated(f"there is no {where}", self.root, f"Run the stage {stage} first")
        return path


def discard(*paths: Path) -> None:
    """Removes what an earlier run of a stage wrote, so that nobody reads it if this one fails.

    Raises:
        OutputUnwritable: one cannot be removed.
    """
    for path in paths:
        with naming_storage_trouble(path):
            path.unlink(missing_ok=True)
