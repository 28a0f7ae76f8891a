"""pyannote's pipelines, whose models are gated: who wants them accepts conditions and has a token.

Source: https://github.com/pyannote/pyannote-audio, README; models pyannote/voice-activity-detection
and pyannote/speaker-diarization-3.1 on Hugging Face.
"""

import os
from contextlib import suppress
from importlib import import_module
from inspect import signature
from typing import Any

from badc_core.media.results import Skipped

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105  (a name)


def load_pipeline(model: str) -> Any | Skipped:
    """Returns a pipeline, or why there is none.

    With a token the model is fetched the first time; without one it must be in the cache.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub is imported, which reads it once
    try:
        send_no_telemetry()
        pipelines = import_module("pyannote.audio").Pipeline
        hub = import_module("huggingface_hub")
    except ImportError:
        return Skipped("the package pyannote.audio is not installed")
    is_here = isinstance(hub.try_to_load_from_cache(model, "config.yaml"), str)
    if not token and not is_here:
        what = f"the model {model} is not here"
        return Skipped(f"{what}, and there is no token in HF_TOKEN")
    parameter = "token"
    if parameter not in signature(pipelines.from_pretrained).parameters:
        parameter = "use_auth_token"  # before pyannote.audio 4
    try:
        pipeline = pipelines.from_pretrained(model, **{parameter: token or None})
    except Exception as error:  # noqa: BLE001  (the hub, torch and the model each have their own)
        return Skipped(f"the model {model} cannot be loaded ({_in_a_line(error)})")
    if pipeline is None:
        return Skipped(f"the token may not fetch {model}: accept its conditions on Hugging Face")
    return pipeline


def send_no_telemetry() -> None:
    """Keeps pyannote and the hub from reporting to their makers what is loaded.

    Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with suppress(ModuleNotFoundError):  # before version 4, or without pyannote
        import_module("pyannote.audio.telemetry.metrics").set_telemetry_metrics(enabled=False)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
