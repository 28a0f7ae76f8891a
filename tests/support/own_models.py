"""Models of a lab's own, small enough to be made for a test and real enough to be run."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

BIRD_LABELS = "Low sound\nHigh sound\n"
BIRD_RATE_HZ = 48_000
BIRD_WINDOW_S = 3.0
_WINDOW = 144_000
_FRAME = 1024
_N_FRAMES = _WINDOW // _FRAME
_BANDS_HZ = ((500, 3000), (3000, 12_000))
_FLOOR = 1e-4
_MIDPOINT_DB = 9.0
_SLOPE_DB = 2.0

BIRD_FUNCTION = f'''
"""The same rule as the network's, window by window."""

import numpy as np

hz = np.fft.rfftfreq({_FRAME}, 1 / {BIRD_RATE_HZ})


def score(windows):
    return np.array([score_one(window) for window in windows])


def score_one(window):
    frames = window[: {_N_FRAMES * _FRAME}].reshape({_N_FRAMES}, {_FRAME})
    power = np.abs(np.fft.rfft(frames * np.hanning({_FRAME}), axis=1)) ** 2
    scores = []
    for low_hz, high_hz in {_BANDS_HZ}:
        band = power[:, (hz >= low_hz) & (hz < high_hz)].sum(axis=1)
        contrast = (band.max() + {_FLOOR}) / (band.mean() + {_FLOOR})
        scores.append(1 / (1 + np.exp(-(10 * np.log10(contrast) - {_MIDPOINT_DB}) / {_SLOPE_DB})))
    return scores
'''


def write_bird_model(path: Path) -> Path:
    """Writes a network that finds moments standing out in a band; gives logits of two classes."""
    hz = np.fft.rfftfreq(_FRAME, 1 / BIRD_RATE_HZ)
    used = (hz >= _BANDS_HZ[0][0]) & (hz < _BANDS_HZ[-1][1])
    turns = 2 * np.pi * np.outer(np.arange(_FRAME), np.nonzero(used)[0]) / _FRAME
    waves = np.hanning(_FRAME)[:, np.newaxis] * np.hstack([np.cos(turns), np.sin(turns)])
    bands = np.array([[low <= one < high for low, high in _BANDS_HZ] for one in hz[used]])
    constants = {
        "zero": np.array([0]),
        "end": np.array([_N_FRAMES * _FRAME]),
        "last": np.array([1]),
        "frames_shape": np.array([-1, _N_FRAMES, _FRAME]),
        "waves": waves.astype(np.float32),
        "bands": np.vstack([bands, bands]).astype(np.float32),
        "floor": np.float32(_FLOOR),
        "slope": np.float32(10 / np.log(10) / _SLOPE_DB),
        "shift": np.float32(_MIDPOINT_DB / _SLOPE_DB),
    }
    nodes = [
        helper.make_node("Slice", ["sound", "zero", "end", "last"], ["whole"]),
        helper.make_node("Reshape", ["whole", "frames_shape"], ["frames"]),
        helper.make_node("MatMul", ["frames", "waves"], ["parts"]),
        helper.make_node("Mul", ["parts", "parts"], ["squares"]),
        helper.make_node("MatMul", ["squares", "bands"], ["power"]),
        helper.make_node("ReduceMax", ["power"], ["loudest"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Add", ["loudest", "floor"], ["above"]),
        helper.make_node("Add", ["mean", "floor"], ["below"]),
        helper.make_node("Div", ["above", "below"], ["contrast"]),
        helper.make_node("Log", ["contrast"], ["log"]),
        helper.make_node("Mul", ["log", "slope"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "shift"], ["logits"]),
    ]
    return write_model(path, nodes, constants, {"sound": ["n", _WINDOW]}, {"logits": ["n", 2]})


def write_loudness_model(
    path: Path,
    shape: tuple[int | str, ...] = ("n", 8000),
    n_classes: int = 4,
    gain: float = 1.0,
    shift: float = 0.0,
) -> Path:
    """Writes a network whose scores are the mean squares of as many equal parts of a window.

    Its second output, `parts`, holds the parts themselves.
    """
    constants = {
        "parts_shape": np.array([0, n_classes, -1]),
        "gain": np.float32(gain),
        "shift": np.float32(shift),
    }
    nodes = [
        helper.make_node("Reshape", ["sound", "parts_shape"], ["parts"]),
        helper.make_node("Mul", ["parts", "parts"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["means"], axes=[2], keepdims=0),
        helper.make_node("Mul", ["means", "gain"], ["louder"]),
        helper.make_node("Add", ["louder", "shift"], ["scores"]),
    ]
    outputs = {"scores": [shape[0], n_classes], "parts": [shape[0], n_classes, None]}
    return write_model(path, nodes, constants, {"sound": list(shape)}, outputs)


def write_model(path: Path, nodes, constants, inputs, outputs, **options) -> Path:
    """Writes a network; `inputs` and `outputs` are name -> shape, all float32."""
    graph = helper.make_graph(
        nodes,
        "made for a test",
        [_value(name, shape) for name, shape in inputs.items()],
        [_value(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, path, **options)
    return path


def _value(name: str, shape):
    kind = TensorProto.FLOAT
    if isinstance(shape, tuple):
        kind, shape = shape
    return helper.make_tensor_value_info(name, kind, shape)
