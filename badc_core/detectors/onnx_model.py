"""A network of the user's own in an ONNX file, run on onnxruntime.

Which of its inputs and outputs count is decided in `onnx_graph.py`; labels, windows and checks of
scores are in `own_model.py`.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from badc_core.annexed_files import require_fetched
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.onnx_graph import find_files_beside, find_input, find_output
from badc_core.detectors.own_model import (
    VERSION_LENGTH,
    OwnModel,
    hash_model_file,
    identify_model,
    make_failure,
    read_model_labels,
    require_file,
)
from badc_core.devices.inventory import find_gpus
from badc_core.errors import ConfigInvalid, DetectorMissing, OutOfMemory

USES_PLACE = False

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3


class OnnxModel(OwnModel):
    """The network in memory.

    It is always given the same number of windows, with silence in the places left over: a
    window's score then cannot depend on how many others there were, and a GPU's library need not
    search again for the best way to compute.
    """

    range_remedy = 'Set detector.model.activation to "sigmoid" or "softmax"'

    def __init__(self, settings: DetectorSettings) -> None:
        """Loads the network and runs it once.

        Raises:
            ConfigInvalid: it cannot be loaded, fails, does not fit the settings, or a file of it
                changed meanwhile.
            ContentMissing: a file is annexed, and its content is not here.
            DetectorMissing: a file is not there, or onnxruntime, or what that needs for a GPU.
            OutOfMemory: it does not fit the device.
        """
        super().__init__(settings, identify(settings))
        self._path = require_file(settings.model.file, "file")
        self._session = _load_session(self._path)
        model = settings.model
        self._input = find_input(self._session.get_inputs(), self.n_samples, self._path)
        outputs = self._session.get_outputs()
        self._output = find_output(outputs, model.output, len(self._labels), self._path)
        self._activate = _ACTIVATIONS[model.activation]
        self.batch_windows = self._input.n_windows or model.batch_windows
        self._n_at_once = self.batch_windows
        self.try_out()
        self.identity.require_same(identify(settings))

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    def _run(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        parts = []
        row = 0
        while row < len(windows):
            group = windows[row : row + self._n_at_once]
            try:
                parts.append(self._run_padded(group))
            except OutOfMemory:
                if self._n_at_once == 1 or self._input.n_windows is not None:
                    raise
                self._n_at_once = -(-self._n_at_once // 2)
                self._notes.append(f"out of memory: {self._n_at_once} windows at once from now on")
            else:
                row += len(group)
        return np.concatenate(parts)

    def _run_padded(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Returns the activated scores of at most as many windows as the network is given."""
        full = windows
        try:
            if len(windows) < self._n_at_once:
                full = np.zeros((self._n_at_once, windows.shape[1]), np.float32)
                full[: len(windows)] = windows
            given = full[:, np.newaxis] if self._input.has_channels else full
            (scores,) = self._session.run([self._output], {self._input.name: given})
        except Exception as error:
            what = f"onnxruntime cannot run the model: {_in_a_line(error)}"
            remedy = "Set detector.model.batch_windows lower, or run the model by hand to see why"
            raise make_failure(error, what, self.place, remedy) from error
        wanted = (self._n_at_once, len(self._labels))
        if scores.shape != wanted:
            raise ConfigInvalid(
                f"output {self._output} has shape {list(scores.shape)} for {wanted[0]} windows and "
                f"{wanted[1]} labels, not {list(wanted)}",
                self._path,
                "Correct detector.model.labels or detector.model.output",
            )
        return self._activate(scores[: len(windows)])


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the network's identity, which changes with its files and that of the labels.

    Raises:
        ConfigInvalid: a setting is missing.
        DetectorMissing: a file is not there, or onnxruntime is not installed.
        ContentMissing: a file is annexed, and its content is not here.
    """
    path = require_file(settings.model.file, "file")
    has_cuda = _CUDA in _import_onnxruntime().get_available_providers()
    beside = tuple(f"{one.name}: {_hash_beside(one)}" for one in find_files_beside(path))
    version = hash_model_file(path)[:VERSION_LENGTH]
    return identify_model(settings, version, path, beside, uses_gpu=has_cuda)


labels = read_model_labels
"""What the entry point calls."""


load = OnnxModel
"""What the entry point calls."""


def _hash_beside(weights: Path) -> str:
    """Returns the SHA-256 of a file that a model names; `absent` for one that is not there."""
    try:
        require_fetched(weights)
        is_there = weights.is_file()
    except (OSError, ValueError):  # no file can have such a name
        is_there = False
    return hash_model_file(weights) if is_there else "absent"


def _load_session(path: Path) -> Any:
    """Returns what runs a model: on the GPU where this process sees one, else by one thread."""
    onnxruntime = _import_onnxruntime()
    wants_gpu = _CUDA in onnxruntime.get_available_providers() and bool(find_gpus().gpus)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    providers = [(_CUDA, {"device_id": 0}), _CPU] if wants_gpu else [_CPU]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        what = f"onnxruntime {onnxruntime.__version__} cannot load it: {_in_a_line(error)}"
        failure = make_failure(error, what, str(path), "Choose another device, or fewer workers")
        if isinstance(failure, OutOfMemory):
            raise failure from error
        raise ConfigInvalid(what, path, "Give a model that this onnxruntime can load") from error
    if wants_gpu and _CUDA not in session.get_providers():
        raise DetectorMissing(
            f"onnxruntime {onnxruntime.__version__} cannot use the GPU: see what it wrote",
            "onnx",
            "Run: pip install 'onnxruntime-gpu[cuda,cudnn]', or hide the GPUs by "
            "CUDA_VISIBLE_DEVICES=''",
        )
    return session


def _import_onnxruntime() -> Any:
    """Returns onnxruntime, which is an optional extra; raises DetectorMissing."""
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise DetectorMissing(
            f"onnxruntime is not installed ({error})",
            "onnx",
            "Run: pip install 'badc[onnx]', or onnxruntime-gpu for a GPU",
        ) from error


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _unchanged(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values


def _sigmoid(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns the logistic function, which overflows for no value."""
    halved: npt.NDArray[Any] = 0.5 * (1.0 + np.tanh(0.5 * values.astype(np.float64)))
    return halved


def _softmax(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns each row's exponentials as parts of their sum."""
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    parts: npt.NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return parts


_ACTIVATIONS = {"none": _unchanged, "sigmoid": _sigmoid, "softmax": _softmax}
