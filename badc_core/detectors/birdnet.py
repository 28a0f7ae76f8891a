"""BirdNET v2.4, run directly on LiteRT.

Model files are found by `birdnet_files.py`. One interpreter thread per worker: on two cores two
single-threaded processes score 160 s of audio a second, one process with two threads 98.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detectors.birdnet_files import labels_path, model_path
from badc_core.detectors.interface import Detection, DetectorIdentity, Label, WindowBatch
from badc_core.detectors.windows import WindowGrid
from badc_core.errors import ConfigInvalid, DetectorMissing
from badc_core.settings import DetectorSettings

SAMPLE_RATE_HZ = 48_000
WINDOW_S = 3.0
LICENCE = "CC BY-NC-SA 4.0 (non-commercial)"
_LOGIT_LIMIT = 15.0


class BirdNet:
    """The model in memory."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Loads the model and runs it once.

        Raises:
            DetectorMissing: model file or LiteRT are not installed.
            ConfigInvalid: windows would overlap entirely.
        """
        _check_overlap(settings)
        self.identity = identify(settings)
        self._labels = read_labels(labels_path())
        self._grid = WindowGrid(WINDOW_S, settings.window_overlap_s, SAMPLE_RATE_HZ)
        self._shift = np.float32((settings.sensitivity - 1.0) * 10.0)
        self._min_score = settings.min_score
        self._interpreter = _load_interpreter(model_path())
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._output: int = self._interpreter.get_output_details()[0]["index"]
        self.score(np.zeros((1, round(WINDOW_S * SAMPLE_RATE_HZ)), np.float32))

    def batches(self, audio: AudioFile, chunk: Chunk) -> Iterator[WindowBatch]:
        """Yields the chunk's windows at 48 kHz."""
        return self._grid.read(audio, chunk)

    def detect(self, batch: WindowBatch) -> list[Detection]:
        """Returns what stands at or above the minimum score, by start, then label order."""
        scores = self.score(batch.windows)
        rows, columns = np.nonzero(scores >= self._min_score)
        return [
            Detection(
                batch.starts[row], batch.ends[row], self._labels[column], float(scores[row, column])
            )
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]

    def score(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the score of every label in every window.

        The model sees one window at a time: batches of 2, 4 and 8 measured -6, -4 and +13 %
        time per window on a CPU, and one at a time cannot let neighbours change a score.

        Args:
            windows: float32, shape [n_windows, 144000], 48 kHz, range [-1, 1].

        Returns:
            float32, shape [n_windows, n_labels], 0 to 1.

        Source:
            Sensitivity as a shift of the logit: `birdnet` 1.3.1.
        """
        logits = np.empty((len(windows), len(self._labels)), np.float32)
        for row, window in enumerate(windows):
            self._interpreter.set_tensor(self._input, window[np.newaxis])
            self._interpreter.invoke()
            logits[row] = self._interpreter.get_tensor(self._output)[0]
        limited = np.clip(logits + self._shift, -_LOGIT_LIMIT, _LOGIT_LIMIT)
        scores: npt.NDArray[np.float32] = 1.0 / (1.0 + np.exp(-limited))
        return scores


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the model's identity; raises DetectorMissing or ConfigInvalid."""
    _check_overlap(settings)
    return DetectorIdentity("birdnet", "2.4", _sha256(model_path()), LICENCE, WINDOW_S)


def load(settings: DetectorSettings) -> BirdNet:
    """Returns the loaded model; raises DetectorMissing or ConfigInvalid."""
    return BirdNet(settings)


def read_labels(path: Path) -> tuple[Label, ...]:
    """Returns the labels in the model's order.

    Lines are `Scientific name_Common name`; where both halves are equal the sound has no species
    of its own (Engine, Noise, Dog, some crickets).
    """
    labels = []
    for line in path.read_text(encoding="utf-8").splitlines():
        scientific_name, _, name = line.partition("_")
        is_species = name != scientific_name
        labels.append(Label(name, scientific_name=scientific_name if is_species else ""))
    return tuple(labels)


def _check_overlap(settings: DetectorSettings) -> None:
    if settings.window_overlap_s >= WINDOW_S:
        raise ConfigInvalid(
            f"detector.window_overlap_s is {settings.window_overlap_s:g}",
            remedy=f"BirdNET's windows last {WINDOW_S:g} s: choose less than that",
        )


def _load_interpreter(path: Path) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  (an optional extra)
    except ImportError as error:
        raise DetectorMissing(
            "LiteRT is not installed (package ai-edge-litert)",
            "birdnet",
            "Run: pip install 'badc[birdnet]'",
        ) from error
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


@cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
