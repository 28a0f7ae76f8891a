"""How fast a shell loop is that starts a process for every chunk: what many archives are run with.

Each process imports LiteRT, loads BirdNET, reads its 30 s of a recording, scores them, and ends; as
many run side by side as there are cores.

    python benchmarks/process_per_chunk.py FILE.wav...
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile

from badc_core.detectors.birdnet_files import model_path
from badc_core.devices.cores import usable_cores

CHUNK_S = 30
_CHUNKS_PER_PROCESS = 12
_CHILD = """
import sys
import soundfile
from ai_edge_litert.interpreter import Interpreter

model, path, start, end = sys.argv[1:]
audio, _ = soundfile.read(path, start=int(start), stop=int(end), dtype="float32")
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
into = interpreter.get_input_details()[0]["index"]
out = interpreter.get_output_details()[0]["index"]
for window in audio[: audio.size // 144_000 * 144_000].reshape(-1, 1, 144_000):
    interpreter.set_tensor(into, window)
    interpreter.invoke()
    interpreter.get_tensor(out)
"""


def measure_process_per_chunk(audio_files: Sequence[Path], n_processes: int) -> float:
    """Returns seconds of audio per second, everything but the results included.

    Args:
        audio_files: 48 kHz mono recordings, of which those of 30 s and more are used.
        n_processes: how many run side by side.
    """
    long_enough = [path for path in audio_files if soundfile.info(path).duration >= CHUNK_S]
    chunks = (long_enough * _CHUNKS_PER_PROCESS)[: n_processes * _CHUNKS_PER_PROCESS]
    with ThreadPoolExecutor(n_processes) as executor:
        started_s = time.perf_counter()
        for _ in executor.map(_score, chunks):
            pass
        return len(chunks) * CHUNK_S / (time.perf_counter() - started_s)


def _score(path: Path) -> None:
    span = ["0", str(CHUNK_S * soundfile.info(path).samplerate)]
    subprocess.run(
        [sys.executable, "-c", _CHILD, str(model_path()), str(path), *span],
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    print(measure_process_per_chunk([Path(name) for name in sys.argv[1:]], usable_cores()))
