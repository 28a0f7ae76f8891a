"""BirdNET at every rate of a recorder, against the official `birdnet` package run beside it.

The package lives in an environment of its own, which `make bench` makes.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import resample

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.birdnet import BirdNet, find_labels, find_model
from badc_core.detectors.interface import NO_CONTEXT
from badc_core.errors import DetectorMissing

pytestmark = pytest.mark.soak

PYTHON = Path(__file__).resolve().parents[3] / ".venv-birdnet" / "bin" / "python"
RATES_HZ = (16_000, 22_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000, 256_000)
LENGTHS_S = (3.37, 7.003, 11.9, 15.0, 16.73)
MIN_SCORE = 0.01
TOLERANCE = 0.002
OFFICIAL = """
import json, sys
from pathlib import Path

import birdnet

if __name__ == "__main__":
    model, labels, *files = map(Path, sys.argv[1:])
    loaded = birdnet.load_custom("acoustic", "2.4", "tf", model, labels, library="litert")
    found = loaded.predict(
        files, n_workers=1, default_confidence_threshold=0.01, top_k=None
    ).to_structured_array()
    rows = [
        [Path(str(one["input"])).name, float(one["start_time"]), str(one["species_name"]),
         float(one["confidence"])]
        for one in found
    ]
    print(json.dumps(rows))
"""

Found = dict[tuple[str, float, str], float]


@pytest.fixture(scope="module")
def recordings(lacking, field_audio: Path, tmp_path_factory) -> list[Path]:
    """Returns parts of the soundscape as recorders of other rates would have written them."""
    try:
        find_model()
    except DetectorMissing as error:
        lacking(str(error))
    if not PYTHON.exists():
        lacking("the birdnet package: make .venv-birdnet/.installed")
    samples, rate_hz = sf.read(field_audio / "soundscape.flac", dtype="float32")
    folder = tmp_path_factory.mktemp("rates")
    paths = []
    for wanted_hz in RATES_HZ:
        for number, length_s in enumerate(LENGTHS_S):
            start = number * 20 * rate_hz
            part = samples[start : start + round(length_s * rate_hz)]
            sound = resample(part, round(length_s * wanted_hz))
            paths.append(folder / f"{wanted_hz}_{length_s:g}.wav")
            sf.write(paths[-1], np.clip(sound, -1, 1), wanted_hz, subtype="PCM_16")
    return paths


def official(paths: list[Path]) -> Found:
    program = paths[0].with_name("official.py")  # its workers import the program by its path
    program.write_text(OFFICIAL)
    command = [str(PYTHON), str(program), str(find_model()), str(find_labels())]
    done = subprocess.run([*command, *map(str, paths)], stdout=subprocess.PIPE, check=True)
    rows = json.loads(done.stdout.splitlines()[-1])
    return {(name, round(start_s, 3), label): score for name, start_s, label, score in rows}


def ours(paths: list[Path]) -> Found:
    detector = BirdNet(DetectorSettings(min_score=MIN_SCORE))
    found: Found = {}
    for path in paths:
        with AudioFile(path) as audio:
            chunk = Chunk("a", 0, audio.n_samples, 0, audio.sample_rate_hz)
            for batch in detector.batches(audio, chunk, NO_CONTEXT):
                for one in (it for some in detector.detect(batch) for it in some):
                    label = f"{one.label.scientific_name or one.label.name}_{one.label.name}"
                    start_s = round(one.start_sample / audio.sample_rate_hz, 3)
                    found[path.name, start_s, label] = one.confidence
    return found


def test_every_window_at_every_rate_scores_as_in_the_official_package(
    recordings: list[Path],
) -> None:
    expected, found = official(recordings), ours(recordings)
    assert len(expected) > 100 * len(RATES_HZ)
    for rate_hz in RATES_HZ:
        keys = {one for one in expected.keys() | found.keys() if one[0].startswith(f"{rate_hz}_")}
        # A score may be just below the minimum on one side.
        gaps = {key: abs(expected.get(key, MIN_SCORE) - found.get(key, MIN_SCORE)) for key in keys}
        worst = max(gaps, key=gaps.__getitem__)
        print(f"{rate_hz} Hz: {len(keys)} scores, largest difference {gaps[worst]:.2g}")
        assert gaps[worst] <= TOLERANCE, f"{worst}: {expected.get(worst)}, {found.get(worst)}"
