"""pyannote's models, which are gated: who wants them accepts conditions and has a token.

Source: https://github.com/pyannote/pyannote-audio, `Pipeline.from_pretrained` and
`Model.from_pretrained`; `Audio` for sound in memory.
"""

import os
from contextlib import suppress
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from badc_core.audio.reader import AudioFile
from badc_core.media.results import Skipped

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105  (a name)
_FILES = {"Pipeline": "config.yaml", "Model": "pytorch_model.bin"}


def load_pretrained(kind: Literal["Pipeline", "Model"], name: str) -> Any | Skipped:
    """Returns a pipeline or a model, or why there is none.

    With a token it is fetched the first time; without one it must be in the cache.

    Args:
        kind: the class of `pyannote.audio` that loads it.
        name: on Hugging Face.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub is imported, which reads it once
    try:
        send_no_telemetry()
        load = getattr(import_module("pyannote.audio"), kind).from_pretrained
        hub = import_module("huggingface_hub")
    except ImportError:
        return Skipped("the package pyannote.audio is not installed")
    is_here = isinstance(hub.try_to_load_from_cache(name, _FILES[kind]), str)
    if not token and not is_here:
        return Skipped(f"the model {name} is not here, and there is no token in HF_TOKEN")
    parameter = "token"
    if parameter not in signature(load).parameters:
        parameter = "use_auth_token"  # before pyannote.audio 4
    try:
        loaded = load(name, **{parameter: token or None})
    except Exception as error:  # noqa: BLE001  (the hub, torch and the model each have their own)
        return Skipped(f"the model {name} cannot be loaded ({_in_a_line(error)})")
    if loaded is None:  # before pyannote.audio 4, which raises
        return Skipped(f"the token may not fetch {name}: accept its conditions on Hugging Face")
    return loaded


def sound_for_pyannote(path: Path) -> dict[str, Any]:
    """Returns a mono recording as pyannote takes it from memory.

    Given a path, pyannote 4 needs ffmpeg's libraries, which the program ffmpeg does not bring.
    """
    with AudioFile(path) as audio:
        samples = audio.read(0, audio.n_samples)
        waveform = import_module("torch").from_numpy(samples.reshape(1, -1))
        return {"waveform": waveform, "sample_rate": audio.sample_rate_hz}


def send_no_telemetry() -> None:
    """Keeps pyannote and the hub from reporting to their makers what is loaded.

    Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with suppress(ModuleNotFoundError):  # before version 4, or without pyannote
        import_module("pyannote.audio.telemetry.metrics").set_telemetry_metrics(enabled=False)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
