"""How much faster HawkEars runs kept loaded than as one process for each chunk.

Networks with random weights of the smallest size, on one core: the share of the start is the
largest there. Needs an installed HawkEars (`make hawkears`).

    python benchmarks/hawkears.py FILE.wav
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import soundfile

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings, HawkEarsSettings
from badc_core.detectors.chunk_files import write_chunk_file
from badc_core.detectors.hawkears.check import build_command
from badc_core.detectors.hawkears.hawkears2 import HawkEars
from badc_core.detectors.hawkears.home import HawkEarsHome, find_home
from badc_core.detectors.interface import NO_CONTEXT
from badc_core.errors import DetectorMissing

CHUNK_S = 30
_NETWORK_TYPE = "effnet.1"
_N_PROCESSES = 3
_N_KEPT = 40


def measure(audio_file: Path) -> dict[str, Any] | None:
    """Returns seconds per 30-s chunk both ways and their ratio; None where HawkEars is missing.

    Args:
        audio_file: a recording of at least 30 s; its parts are analysed over and over.
    """
    installed = find_home()
    try:
        installed.version()
    except DetectorMissing:
        return None
    with tempfile.TemporaryDirectory() as folder:
        home = HawkEarsHome(Path(folder))
        home.venv.symlink_to(installed.venv)
        program = Path(__file__).parents[1] / "tests" / "support" / "random_hawkears.py"
        command = [sys.executable, str(program), "--runtime", folder, "--type", _NETWORK_TYPE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return _measure(home, audio_file)


def _measure(home: HawkEarsHome, audio_file: Path) -> dict[str, Any]:
    settings = DetectorSettings(
        name="hawkears",
        runtime=str(home.root),
        min_score=0.7,
        hawkears=HawkEarsSettings(models=3, use_occurrence=False),
    )
    chunks = _chunks(audio_file)
    # The first process after an installation reads a gigabyte from disk: not what is compared.
    _time_process(home, audio_file, chunks[0], settings)
    started_s = time.perf_counter()
    detector = HawkEars(settings)
    load_s = time.perf_counter() - started_s
    try:
        before = _time_kept(detector, audio_file, chunks, _N_KEPT // 2)
        process = [
            _time_process(home, audio_file, chunks[number % len(chunks)], settings)
            for number in range(_N_PROCESSES)
        ]
        after = _time_kept(detector, audio_file, chunks, _N_KEPT // 2)
    finally:
        detector.close()
    kept_s = (before + after) / 2
    process_s = median(process)
    return {
        "hawkears_process_s_per_chunk": round(process_s, 3),
        "hawkears_kept_s_per_chunk": round(kept_s, 3),
        "hawkears_load_s": round(load_s, 2),
        "hawkears_kept_x_realtime": round(CHUNK_S / kept_s, 1),
        "hawkears_over_process_per_chunk": round(process_s / kept_s, 2),
        "hawkears_network_type": _NETWORK_TYPE,
    }


def _chunks(audio_file: Path) -> list[Chunk]:
    about = soundfile.info(audio_file)
    n_samples = CHUNK_S * about.samplerate
    starts = range(0, about.frames - n_samples + 1, n_samples)
    return [Chunk("bench", start, start + n_samples, 0, about.samplerate) for start in starts]


def _time_kept(detector: HawkEars, audio_file: Path, chunks: list[Chunk], n_chunks: int) -> float:
    """Returns wall seconds per chunk of the loaded detector, reading and writing included."""
    with AudioFile(audio_file) as audio:
        started_s = time.perf_counter()
        for number in range(n_chunks):
            for batch in detector.batches(audio, chunks[number % len(chunks)], NO_CONTEXT):
                detector.detect(batch)
        return (time.perf_counter() - started_s) / n_chunks


def _time_process(
    home: HawkEarsHome, audio_file: Path, chunk: Chunk, settings: DetectorSettings
) -> float:
    """Returns wall seconds of one `hawkears analyze` for one chunk, which lies there already."""
    with AudioFile(audio_file) as audio:
        file = write_chunk_file(audio, chunk, NO_CONTEXT)
    command = build_command(home, file.path, file.path.parent / "out", settings)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        started_s = time.perf_counter()
        subprocess.run(
            command, check=True, capture_output=True, cwd=home.data_root, env=environment
        )
        return time.perf_counter() - started_s
    finally:
        file.remove()


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
