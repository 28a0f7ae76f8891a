"""How fast a shell loop is that starts a process for every chunk: what many archives are run with.

As many processes run side by side as there are cores. `detector` is BADC's own detector in a
process of its own for each 30 s: it loads, reads, detects and writes down what it found, so the
results are those of the pipeline. `model` is the least such a process can do: import LiteRT, load
the model, read the sound, run the model, throw the scores away.

    python benchmarks/process_per_chunk.py FILE.wav...
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile

from badc_core.detectors.birdnet import find_model
from badc_core.devices.places import usable_cores

CHUNK_S = 30
_CHUNKS_PER_PROCESS = 10
_DETECTOR = """
import json
import sys
from dataclasses import asdict
from pathlib import Path

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detectors.interface import NO_CONTEXT
from badc_core.detectors.registry import load_detector
from badc_core.detector_settings import DetectorSettings

path, end, rate = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
detector = load_detector(DetectorSettings(name="birdnet", min_score=0.1))
with AudioFile(path) as audio:
    batches = detector.batches(audio, Chunk("rec", 0, end, 0, rate), NO_CONTEXT)
    found = [one for batch in batches for window in detector.detect(batch) for one in window]
print(json.dumps([asdict(one) for one in found]))
"""
_MODEL = """
import sys
import soundfile
from ai_edge_litert.interpreter import Interpreter

model, path, end, _ = sys.argv[1:]
audio, _ = soundfile.read(path, stop=int(end), dtype="float32")
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
into = interpreter.get_input_details()[0]["index"]
out = interpreter.get_output_details()[0]["index"]
for window in audio[: audio.size // 144_000 * 144_000].reshape(-1, 1, 144_000):
    interpreter.set_tensor(into, window)
    interpreter.invoke()
    interpreter.get_tensor(out)
"""
PROGRAMS = {"detector": _DETECTOR, "model": _MODEL}


def measure_process_per_chunk(
    audio_files: Sequence[Path], n_processes: int, what: str = "detector"
) -> float:
    """Returns seconds of audio per second.

    Args:
        audio_files: 48 kHz mono recordings, of which those of 30 s and more are used.
        n_processes: how many run side by side.
        what: of `PROGRAMS`.
    """
    long_enough = [path for path in audio_files if soundfile.info(path).duration >= CHUNK_S]
    chunks = (long_enough * _CHUNKS_PER_PROCESS)[: n_processes * _CHUNKS_PER_PROCESS]
    with ThreadPoolExecutor(n_processes) as executor:
        started_s = time.perf_counter()
        for _ in executor.map(lambda path: _run(PROGRAMS[what], path), chunks):
            pass
        return len(chunks) * CHUNK_S / (time.perf_counter() - started_s)


def _run(program: str, path: Path) -> None:
    rate_hz = soundfile.info(path).samplerate
    arguments = [str(find_model()), str(path), str(CHUNK_S * rate_hz), str(rate_hz)]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:]]
    for name in PROGRAMS:
        print(name, round(measure_process_per_chunk(files, usable_cores(), name), 1))
