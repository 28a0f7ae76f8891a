"""Fills HawkEars' data folder: its tables, and its networks. A program of its own.

Run by `hawkears_install.py` with the interpreter of HawkEars' environment, so it imports nothing
of BADC. Its last line on standard output is one JSON object: `{"done": ...}` or `{"error": ...}`.

    python -I weights.py DATA_ROOT download
    python -I weights.py DATA_ROOT copy FOLDER_OR_ZIP
    python -I weights.py DATA_ROOT random effnet.1
"""

import csv
import json
import os
import shutil
import sys
import zipfile
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


def fill(data_root: Path, source: str, value: str) -> dict[str, Any]:
    """Writes HawkEars' tables and puts networks there; returns what to tell.

    Args:
        data_root: what HawkEars calls its environment folder.
        source: `download`, `copy` or `random`.
        value: the folder or zip file to copy from, or the network type to make up.
    """
    from hawkears.core.initializer import (  # type: ignore[import-not-found]  # noqa: PLC0415
        download_and_extract,
        initialize,
    )
    from hawkears.core.package_regions import (  # type: ignore[import-not-found]  # noqa: PLC0415
        default_package_region,
    )

    checksums = {one.url: one.sha256 for one in default_package_region().bundles}
    made_up = (data_root / "data" / "ckpt" / RANDOM_MARK).exists()

    def copy(url: str, folder: Path) -> None:
        archive = _archive(Path(value), url.rsplit("/", 1)[-1])
        if archive is not None:
            download_and_extract(archive.as_uri(), folder, expected_sha256=checksums[url])
        else:
            _copy_checkpoints(Path(value), folder)

    def nothing(_url: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    if source == "download":
        initialize(data_root, force=made_up)
    elif source == "copy":
        initialize(data_root, downloader=copy, force=True)
    else:
        _refuse_to_replace_real_networks(data_root)
        initialize(data_root, downloader=nothing)
        make_random_networks(data_root, value)
    return {"done": sorted(path.name for path in (data_root / "data" / "ckpt").glob("*.ckpt"))}


def bundles() -> list[dict[str, str]]:
    """Returns what HawkEars wants to be downloaded."""
    from hawkears.core.package_regions import (  # noqa: PLC0415
        default_package_region,
    )

    return [
        {"url": one.url, "sha256": one.sha256, "folder": str(one.default_directory)}
        for one in default_package_region().bundles
    ]


def _archive(given: Path, name: str) -> Path | None:
    """Returns the official archive of that name, given itself or inside a folder given."""
    for path in (given, given / name):
        if path.name == name and zipfile.is_zipfile(path):
            return path.resolve()
    return None


def _copy_checkpoints(given: Path, folder: Path) -> None:
    """Copies `*.ckpt` from a folder, its subfolder of the wanted name, or a zip file.

    Networks for low sounds are only taken from where the name says that they are such, and need
    not be there.
    """
    is_low_band = folder.name == "ckpt-low-band"
    if given.suffix == ".zip":
        is_meant = is_low_band == ("low-band" in given.name)
        with zipfile.ZipFile(given) as archive:
            members = archive.namelist() if is_meant else []
            found = {
                Path(name).name: archive.read(name) for name in members if name.endswith(".ckpt")
            }
    else:
        inside = given / folder.name
        source = inside if inside.is_dir() or is_low_band else given
        found = {path.name: path.read_bytes() for path in source.glob("*.ckpt")}
    if not found and not is_low_band:
        raise FileNotFoundError(f"no *.ckpt in {given}")
    if found or (folder / RANDOM_MARK).exists():
        _clear(folder)
    for name, content in found.items():
        (folder / name).write_bytes(content)


def _clear(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _refuse_to_replace_real_networks(data_root: Path) -> None:
    folder = data_root / "data" / "ckpt"
    if any(folder.glob("*.ckpt")) and not (folder / RANDOM_MARK).exists():
        raise FileExistsError(f"real networks lie in {folder}: remove them first, by hand")


def make_random_networks(data_root: Path, model_type: str) -> None:
    """Writes networks with made-up weights, the same ones every time.

    They have the size and speed of real ones; what they find means nothing.

    Args:
        data_root: with HawkEars' tables in it already.
        model_type: of BriteKit, such as `effnet.1`.
    """
    from britekit.core.util import cfg_to_pure  # type: ignore[import-not-found]  # noqa: PLC0415
    from hawkears.core.config_loader import (  # type: ignore[import-not-found]  # noqa: PLC0415
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
        mark = f"{n_nets} of type {net}, made up for tests and timing; results mean nothing.\n"
        folder, aside = data_root / "data" / name, data_root / "data" / f".{name}.part"
        if (folder / RANDOM_MARK).exists() and (folder / RANDOM_MARK).read_text() == mark:
            continue
        _clear(aside)
        for number in range(1, n_nets + 1):
            _write_network(aside / f"random-{net}-{number}.ckpt", net, rows, audio, number)
        (aside / RANDOM_MARK).write_text(mark)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _write_network(
    path: Path, model_type: str, rows: Sequence[ClassRow], audio: dict[str, Any], seed: int
) -> None:
    """Writes one checkpoint, in the form that BriteKit 1.8.4 loads."""
    import torch  # type: ignore[import-not-found]  # noqa: PLC0415
    from britekit.core.config_loader import (  # type: ignore[import-not-found]  # noqa: PLC0415
        get_config,
    )
    from britekit.models.model_loader import (  # type: ignore[import-not-found]  # noqa: PLC0415
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
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from britekit.core.audio import Audio  # type: ignore[import-not-found]  # noqa: PLC0415

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
    import numpy as np  # noqa: PLC0415

    time_s = np.arange(_REFERENCE_S * rate_hz) / rate_hz
    pitch_hz = rate_hz * (0.1 + 0.08 * np.sin(2 * np.pi * 0.7 * time_s) + 0.1 * (time_s % 5) / 5)
    beat = np.sin(2 * np.pi * 1.3 * time_s) > 0.2  # noqa: PLR2004  (sings a third of the time)
    sound = 0.3 * beat * np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate_hz)
    return (sound + np.random.default_rng(1).normal(0, 0.02, len(time_s))).astype(np.float32)


def main(arguments: list[str]) -> int:
    """Runs one command line; returns the exit code."""
    os.environ["BRITEKIT_INFERENCE_ONLY"] = "1"
    data_root, source, value = Path(arguments[0]), arguments[1], (*arguments[2:], "")[0]
    try:
        told = fill(data_root.absolute(), source, value)
    except Exception as error:  # noqa: BLE001  (the top of a process: must answer)
        told = {"error": f"{type(error).__name__}: {error}", "bundles": bundles()}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if "error" in told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
