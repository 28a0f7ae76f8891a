"""How fast BirdNET runs with nothing around it.

One process per core scores windows that are in memory already; reading, resampling, thresholds and
results are left out. `file` is the model file as it is published in one single-threaded LiteRT
interpreter, one window at a time. `detector` is what BADC makes of that file, spectrograms and
network apart: the ceiling for the pipeline.

    python benchmarks/bare_model.py FILE.wav...
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.birdnet import BirdNet, find_model
from badc_core.devices.places import usable_cores

WINDOW_S = 3
WINDOW_SAMPLES = WINDOW_S * 48_000
WINDOWS_PER_PROCESS = 240
_LOAD_TIMEOUT_S = 120
_RUN_TIMEOUT_S = 300
_ONE_THREAD = "OPENBLAS_NUM_THREADS"


def measure_bare_model(audio_files: Sequence[Path], n_processes: int, what: str = "file") -> float:
    """Returns seconds of audio scored per second of wall time, model loading excluded.

    Args:
        audio_files: 48 kHz mono recordings; each process takes its windows from one of them.
        n_processes: how many run side by side.
        what: of `PROGRAMS`.
    """
    os.environ.setdefault(_ONE_THREAD, "1")  # as the pipeline's workers have it
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(n_processes + 1)
    processes = [
        context.Process(
            target=PROGRAMS[what], args=(audio_files[index % len(audio_files)], barrier)
        )
        for index in range(n_processes)
    ]
    for process in processes:
        process.start()
    barrier.wait(_LOAD_TIMEOUT_S)
    started_s = time.perf_counter()
    barrier.wait(_RUN_TIMEOUT_S)
    wall_s = time.perf_counter() - started_s
    for process in processes:
        process.join()
    return n_processes * WINDOWS_PER_PROCESS * WINDOW_S / wall_s


def _score_with_file(audio_file: Path, barrier: Barrier) -> None:
    """Loads a model and a recording, waits for the others, scores, waits for the others."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # heavy, child only

    windows = _windows(audio_file)
    interpreter = Interpreter(model_path=str(find_model()), num_threads=1)
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    barrier.wait(_LOAD_TIMEOUT_S)
    for number in range(WINDOWS_PER_PROCESS):
        interpreter.set_tensor(input_index, windows[number % len(windows)][np.newaxis])
        interpreter.invoke()
        interpreter.get_tensor(output_index)
    barrier.wait()


def _score_with_detector(audio_file: Path, barrier: Barrier) -> None:
    """Does the same with BADC's detector, in batches of the size it likes."""
    windows = _windows(audio_file)
    detector = BirdNet(DetectorSettings(name="birdnet"))
    size = detector.batch_windows
    rows = np.arange(WINDOWS_PER_PROCESS).reshape(-1, size) % len(windows)
    batches = [windows[some] for some in rows[: len(windows) // size + 1]]
    barrier.wait(_LOAD_TIMEOUT_S)
    for number in range(len(rows)):
        detector.score(batches[number % len(batches)])
    barrier.wait()


PROGRAMS = {"file": _score_with_file, "detector": _score_with_detector}


def _windows(audio_file: Path) -> npt.NDArray[np.float32]:
    """Returns the whole windows of a recording, shape [n_windows, 144000]."""
    audio, _ = soundfile.read(audio_file, dtype="float32")
    n_windows = audio.size // WINDOW_SAMPLES
    return audio[: n_windows * WINDOW_SAMPLES].reshape(n_windows, WINDOW_SAMPLES)


if __name__ == "__main__":
    cores = usable_cores()
    files = [Path(name) for name in sys.argv[1:]]
    for what in PROGRAMS:
        print(json.dumps({what: round(measure_bare_model(files, cores, what), 1)}))
