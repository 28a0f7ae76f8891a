"""How fast the official `birdnet` package analyses the same recordings on the same cores.

It lives in an environment of its own (`make bench` makes `.venv-birdnet`); this file runs there,
so it imports nothing of BADC. The model and labels are the very files that BADC uses.

    .venv-birdnet/bin/python benchmarks/birdnet_package.py MODEL LABELS N_WORKERS FILE.wav...
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = _ROOT / ".venv-birdnet" / "bin" / "python"


def measure_birdnet_package(audio_files: Sequence[Path]) -> float | None:
    """Returns seconds of audio analysed per second of `predict`; None where it is not installed.

    Loading the model is excluded; starting the package's worker processes, which it does in
    every `predict`, is included.
    """
    from badc_core.detectors.birdnet import find_labels, find_model  # noqa: PLC0415
    from badc_core.devices.places import usable_cores  # noqa: PLC0415

    if not (_PYTHON.parent.parent / ".installed").exists():
        return None
    command = [str(_PYTHON), __file__, str(find_model()), str(find_labels()), str(usable_cores())]
    done = subprocess.run(
        [*command, *map(str, audio_files)], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["birdnet_package_x_realtime"])


def _predict(
    model: Path, labels: Path, n_workers: int, audio_files: list[Path]
) -> dict[str, float]:
    """Runs `predict` once over all files with the settings of BADC's own benchmark."""
    import birdnet  # noqa: PLC0415  # only in the environment of its own
    import soundfile  # noqa: PLC0415

    loaded = birdnet.load_custom("acoustic", "2.4", "tf", model, labels, library="litert")
    audio_s = sum(soundfile.info(path).duration for path in audio_files)
    started_s = time.perf_counter()
    result = loaded.predict(
        audio_files, n_workers=n_workers, default_confidence_threshold=0.1, top_k=None
    )
    wall_s = time.perf_counter() - started_s
    return {
        "birdnet_package_x_realtime": round(audio_s / wall_s, 1),
        "n_workers": n_workers,
        "n_detections": len(result.to_structured_array()),
    }


if __name__ == "__main__":
    model, labels, n_workers, *files = sys.argv[1:]
    found = _predict(Path(model), Path(labels), int(n_workers), [Path(name) for name in files])
    print(json.dumps(found))
