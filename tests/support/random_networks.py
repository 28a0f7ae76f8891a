"""Writes HawkEars networks with random weights. A program of HawkEars' environment.

Run by `random_hawkears.py`, so it imports nothing of BADC. Its last line on standard output is one
JSON object, as that of `badc_core/detectors/hawkears/weights.py`.

    python -I random_networks.py DATA_ROOT effnet.1
"""

# ruff: noqa: PLC0415  (HawkEars is imported where an error can be answered)

import csv
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RANDOM_MARK = "RANDOM_WEIGHTS.txt"

_N_NETS = 6
_N_LOW_BAND_NETS = 2
_LIVELY_EVERY = 25
_LIVELY_MEAN, _LIVELY_SPREAD = -1.0, 3.0
"""Of a frame's logits for every 25th species: some frames cross 0.7, whatever the sound."""
_QUIET_LOGIT = -9.0
"""Of all frames for all other species: none ever does."""
_REFERENCE_S = 30
_LOW_BAND_CLASSES = (
    ("Other", "OTHE", "", ""),
    ("Ruffed Grouse", "RUGR", "Bonasa umbellus", "rufgro"),
    ("Spruce Grouse", "SPGR", "Canachites canadensis", "sprgro"),
)

ClassRow = Sequence[str]


def fill(data_root: Path, model_type: str) -> list[str]:
    """Writes HawkEars' tables and random networks, unless real ones are there; returns names."""
    from hawkears.core.initializer import initialize

    folder = data_root / "data" / "ckpt"
    if any(folder.glob("*.ckpt")) and not (folder / RANDOM_MARK).exists():
        raise FileExistsError(f"real networks are in {folder}: remove them first, by hand")

    def download_nothing(_url: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    initialize(data_root, downloader=download_nothing)
    write_networks(data_root, model_type)
    return sorted(path.name for path in folder.glob("*.ckpt"))


def write_networks(data_root: Path, model_type: str) -> None:
    """Writes networks with random weights, the same ones every time.

    They have the size and speed of real ones; what they find means nothing.

    Args:
        data_root: with HawkEars' tables in it already.
        model_type: of BriteKit, such as `effnet.1`.
    """
    from britekit.core.util import cfg_to_pure
    from hawkears.core.config_loader import (
        get_config,
        load_auxiliary_config,
    )

    main_audio = cfg_to_pure(get_config(data_root=data_root).audio)
    low_yaml = load_auxiliary_config("low_band.yaml", data_root=data_root)
    low_audio = {**main_audio, **dict(low_yaml.audio)}
    with (data_root / "data" / "classes.csv").open(newline="", encoding="utf-8-sig") as file:
        classes = list(csv.reader(file))[1:]
    ensembles: list[tuple[str, int, Sequence[ClassRow], dict[str, Any]]] = [
        ("ckpt", _N_NETS, classes, main_audio),
        ("ckpt-low-band", _N_LOW_BAND_NETS, _LOW_BAND_CLASSES, low_audio),
    ]
    for name, n_nets, rows, audio in ensembles:
        net = model_type if name == "ckpt" else "effnet.1"
        mark = (
            f"{n_nets} of type {net}, random weights for tests and timing; results mean nothing.\n"
        )
        folder, aside = data_root / "data" / name, data_root / "data" / f".{name}.part"
        if (folder / RANDOM_MARK).exists() and (folder / RANDOM_MARK).read_text() == mark:
            continue
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for number in range(1, n_nets + 1):
            _write_network(aside / f"random-{net}-{number}.ckpt", net, rows, audio, number)
        (aside / RANDOM_MARK).write_text(mark)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _write_network(
    path: Path, model_type: str, rows: Sequence[ClassRow], audio: dict[str, Any], seed: int
) -> None:
    """Writes one checkpoint, in the form that BriteKit 1.8.4 loads."""
    import torch
    from britekit.core.config_loader import (
        get_config,
    )
    from britekit.models.model_loader import (
        load_new_model,
    )

    config = get_config()
    for key, value in audio.items():
        setattr(config.audio, key, value)
    config.train.model_type = model_type
    config.train.head_type = "temporal_sed"
    torch.manual_seed(seed)
    columns = [list(column) for column in zip(*rows, strict=True)]
    model = load_new_model(*columns, 1)
    is_low_band = len(rows) == len(_LOW_BAND_CLASSES)
    _calibrate(model, config, 1 if is_low_band else _LIVELY_EVERY)
    model = model.cpu()
    model.identifier, model.training_date = f"RANDOM-{model_type}-{seed}", "2026-01-01"
    checkpoint: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "2.6.0",
        "hyper_parameters": {
            "model_type": model_type,
            "head_type": "temporal_sed",
            "hidden_channels": config.train.hidden_channels,
            "train_class_names": columns[0],
            "train_class_codes": columns[1],
            "train_class_alt_names": columns[2],
            "train_class_alt_codes": columns[3],
            "num_train_specs": 1,
            "multi_label": True,
        },
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


def _calibrate(model: Any, config: Any, lively_every: int) -> None:
    """Scales the last layer so that a generated sound makes a few species cross 0.7."""
    import numpy as np
    import torch
    from britekit.core.audio import Audio

    audio = Audio(cfg=config)
    audio.signal = _reference_sound(config.audio.sampling_rate)
    step_s = config.audio.spec_duration
    starts = [float(start) for start in np.arange(0, _REFERENCE_S - step_s, step_s)]
    specs, _ = audio.get_spectrograms(starts)
    batch = torch.from_numpy(np.asarray(specs, np.float32)[:, np.newaxis] ** 0.7)
    batch = batch.to(next(model.parameters()).device)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                layer.momentum = None
        model.train()(batch)
        _, logits = model.eval()(batch)
        spread, mean = torch.std_mean(logits, dim=(0, 2))
        index = torch.arange(len(mean), device=mean.device)
        lively = index % lively_every == 0
        scale = torch.where(lively, _LIVELY_SPREAD / (spread + 1e-6), 0.0)
        last = model.head.frame_head
        shifted = (last.bias - mean) * scale + _LIVELY_MEAN
        last.bias.copy_(torch.where(lively, shifted, _QUIET_LOGIT))
        last.weight.mul_(scale[:, None, None])


def _reference_sound(rate_hz: int) -> Any:
    """Returns chirps over noise, float32, shape [30 s]."""
    import numpy as np

    time_s = np.arange(_REFERENCE_S * rate_hz) / rate_hz
    pitch_hz = rate_hz * (0.1 + 0.08 * np.sin(2 * np.pi * 0.7 * time_s) + 0.1 * (time_s % 5) / 5)
    beat = np.sin(2 * np.pi * 1.3 * time_s) > 0.2  # sings a third of the time
    sound = 0.3 * beat * np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate_hz)
    return (sound + np.random.default_rng(1).normal(0, 0.02, len(time_s))).astype(np.float32)


def main(arguments: list[str]) -> int:
    """Runs one command line; returns the exit code."""
    os.environ["BRITEKIT_INFERENCE_ONLY"] = "1"
    try:
        reply = {"done": fill(Path(arguments[0]).absolute(), arguments[1])}
    except Exception as error:  # noqa: BLE001  (the top of a process: must answer)
        reply = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(reply) + "\n")
    return 1 if "error" in reply else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
