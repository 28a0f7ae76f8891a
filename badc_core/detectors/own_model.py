"""What the detectors share that run a model of the user's own: files, windows, checks, rows.

The models are run in `onnx_model.py` and `python_function.py`; labels are read in
`label_files.py`.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from badc_core.annexed_files import require_fetched
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import (
    Detection,
    DetectorIdentity,
    DetectorReport,
    Label,
    WindowBatch,
)
from badc_core.detectors.label_files import read_labels
from badc_core.detectors.windows import WindowDetector, WindowGrid, require_partial_overlap
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing, OutOfMemory
from badc_core.hashing import sha256_unchanged
from badc_core.out_of_memory import is_out_of_memory
from badc_core.units import seconds_to_samples

VERSION_LENGTH = 12

_ROUNDING = 1e-5
"""How far a network's rounding may put a score outside 0 to 1."""

_FAINT = 1e-3


class OwnModel(WindowDetector, ABC):
    """A model of the user's own in memory, which scores windows of sound.

    Attributes:
        identity: which model.
        batch_windows: how many windows it is given at once, at most.
        n_samples: in a window.
    """

    range_remedy = "Give scores from 0 to 1"
    """What to do where it does not."""

    def __init__(self, settings: DetectorSettings, identity: DetectorIdentity) -> None:
        """Reads the labels.

        Raises:
            ConfigInvalid: the file of labels cannot be used.
        """
        sample_rate_hz, window_s = require_sound_format(settings)
        super().__init__(identity, WindowGrid(window_s, settings.window_overlap_s, sample_rate_hz))
        self.batch_windows = settings.model.batch_windows
        self.n_samples = seconds_to_samples(window_s, sample_rate_hz)
        self._labels = read_model_labels(settings)
        self._min_score = settings.min_score
        self._notes: list[str] = []

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the model is, for errors."""

    @abstractmethod
    def _run(self, windows: npt.NDArray[np.float32]) -> Any:
        """Returns what the model gives for windows, shape [n_windows, n_samples]."""

    def detect(self, batch: WindowBatch) -> list[list[Detection] | None]:
        """Returns what is at or above the minimum score in each window, in label order.

        None for a window of digital silence that the model gives no scores for.

        Raises:
            OutOfMemory: memory does not suffice for these windows.
            DetectorFailed: the model failed, or its output is not a score for each window.
        """
        return [
            None
            if np.isnan(row).any()
            else [
                Detection(start, end, self._labels[column], float(row[column]))
                for column in np.nonzero(row >= self._min_score)[0].tolist()
            ]
            for start, end, row in zip(
                batch.starts, batch.ends, self.score(batch.windows), strict=True
            )
        ]

    def score(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Returns the score of every label in every window.

        Args:
            windows: float32, shape [n_windows, n_samples], range [-1, 1], at the model's rate.

        Returns:
            float64, shape [n_windows, n_labels], 0 to 1, or NaN all over the row of a window of
            digital silence.

        Raises:
            OutOfMemory, DetectorFailed: as `detect` does.
        """
        groups = range(0, len(windows), self.batch_windows)
        parts = [windows[row : row + self.batch_windows] for row in groups]
        return np.concatenate([self._checked(self._run(part), part) for part in parts])

    def try_out(self) -> None:
        """Scores a window of faint noise, so that errors show before any chunk is tried.

        Raises:
            OutOfMemory: memory does not suffice for a window.
            ConfigInvalid: the model failed, or its output is not scores: trying a chunk again
                would not help.
        """
        noise = np.random.default_rng(0).normal(0, _FAINT, (1, self.n_samples))
        try:
            self.score(noise.astype(np.float32))
        except OutOfMemory:
            raise
        except DetectorFailed as error:
            raise ConfigInvalid(error.what, error.where, error.remedy) from error

    def report(self) -> DetectorReport | None:
        """Returns notes since the last call, if there are any."""
        notes, self._notes = tuple(self._notes), []
        return DetectorReport(notes=notes) if notes else None

    def _checked(self, output: Any, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Returns what a model gave for some windows, if it can be scores.

        A model that scales its input by its loudness has none for digital silence, as official
        exports of BirdNET 3.0. One value other than 0, as of a stuck input, is silence too.
        """
        n_windows = len(windows)
        given = np.asarray(output)
        if given.dtype.kind not in "biuf":
            what = f"gives values of type {given.dtype}, not numbers"
            raise DetectorFailed(what, self.place, self.range_remedy)
        wanted = (n_windows, len(self._labels))
        if given.shape != wanted:
            what = (
                f"gives values of shape {list(given.shape)} for {n_windows} windows and "
                f"{wanted[1]} labels, not {list(wanted)}"
            )
            raise DetectorFailed(what, self.place, "Make it give a score for each label")
        scores = given.astype(np.float64)
        lacks_scores = ~np.isfinite(scores).all(axis=1)
        is_silent = np.zeros(n_windows, bool)
        if lacks_scores.any():
            is_silent[lacks_scores] = np.ptp(windows[lacks_scores], axis=1) == 0
        if (is_nan := np.isnan(scores).any(axis=1) & ~is_silent).any():
            what = f"gives NaN for {is_nan.sum()} of {n_windows} windows"
            raise DetectorFailed(what, self.place, "Correct the model: NaN is not a score")
        sound = scores[~is_silent]
        lowest, highest = float(sound.min(initial=0)), float(sound.max(initial=0))
        if lowest < -_ROUNDING or highest > 1 + _ROUNDING:
            what = f"gives scores from {lowest:g} to {highest:g}, not from 0 to 1"
            raise DetectorFailed(what, self.place, self.range_remedy)
        scores[is_silent] = np.nan
        return scores.clip(0, 1)


def read_model_labels(settings: DetectorSettings) -> tuple[Label, ...]:
    """Returns the classes of the model.

    Raises:
        ConfigInvalid: no file of labels is given, or it cannot be used.
        DetectorMissing: it is not there.
    """
    return read_labels(require_file(settings.model.labels, "labels"))


def require_sound_format(settings: DetectorSettings) -> tuple[int, float]:
    """Returns the sample rate the model needs, in Hz, and the length of its windows, in s.

    Raises:
        ConfigInvalid: either is not given, or windows would overlap entirely.
    """
    model = settings.model
    if model.sample_rate_hz is None or model.window_s is None:
        missing = "sample_rate_hz" if model.sample_rate_hz is None else "window_s"
        raise ConfigInvalid(
            f"the detector `{settings.name}` has no {missing}",
            f"detector.model.{missing}",
            "Set in badc.toml what the model was trained with",
        )
    require_partial_overlap(settings.window_overlap_s, model.window_s, "The model")
    return model.sample_rate_hz, model.window_s


def identify_model(
    settings: DetectorSettings,
    version: str,
    model: Path | None,
    beside: tuple[str, ...] = (),
    *,
    uses_gpu: bool,
) -> DetectorIdentity:
    """Returns the identity of a model.

    Raises:
        ConfigInvalid: a setting is missing.
        DetectorMissing: a file is not there.
    """
    _, window_s = require_sound_format(settings)
    table = require_file(settings.model.labels, "labels")
    return DetectorIdentity(
        name=settings.name,
        version=version,
        model_sha256=None if model is None else hash_model_file(model),
        licence=settings.model.licence,
        window_s=window_s,
        uses_gpu=uses_gpu,
        companions=(f"labels: {hash_model_file(table)}", *beside),
    )


def require_file(path: str, key: str) -> Path:
    """Returns a file that a setting names.

    Args:
        path: what the setting says.
        key: of the setting, in `detector.model`.

    Raises:
        ConfigInvalid: it says nothing.
        DetectorMissing: there is no such file.
        ContentMissing: it is annexed, and its content is not here.
    """
    setting = f"detector.model.{key}"
    if not path:
        raise ConfigInvalid("no file is given", setting, "Name one in badc.toml")
    require_fetched(Path(path))
    if not Path(path).is_file():
        raise DetectorMissing("there is no such file", path, f"Correct {setting} in badc.toml")
    return Path(path)


def hash_model_file(path: Path) -> str:
    """Returns a file's SHA-256 in hex; raises DetectorMissing where it cannot be read."""
    try:
        return sha256_unchanged(path)
    except OSError as error:
        raise cannot_read(path, error) from error


def cannot_read(path: Path, error: OSError) -> DetectorMissing:
    """Returns the error of a file that is there but cannot be read."""
    what = f"cannot be read ({error.strerror})"
    return DetectorMissing(what, path, "Give this user the right to read it")


def make_failure(error: Exception, what: str, where: str, remedy: str) -> DetectorFailed:
    """Returns the error of a model that failed: OutOfMemory where it speaks of memory."""
    kind = OutOfMemory if is_out_of_memory(error) else DetectorFailed
    return kind(what, where, remedy)
