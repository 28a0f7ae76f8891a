"""A TensorFlow Lite model with one input and one output, run on LiteRT."""

from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from badc_core.errors import DetectorMissing


class LiteModel:
    """A model in memory, run by one thread."""

    def __init__(self, model: Path | bytes, shape: tuple[int, ...] = ()) -> None:
        """Loads the model.

        Args:
            model: its file, or what would stand in one.
            shape: of the values it will be given, where that is not what the model says.

        Raises:
            DetectorMissing: LiteRT is not installed.
        """
        self._interpreter = _load_interpreter(model)
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        if shape:
            self._interpreter.resize_tensor_input(self._input, shape)
        self._interpreter.allocate_tensors()
        self._output: int = self._interpreter.get_output_details()[0]["index"]

    def run(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the model's outputs.

        Args:
            values: float32, of the shape it was loaded with.

        Returns:
            float32.
        """
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return cast("npt.NDArray[np.float32]", self._interpreter.get_tensor(self._output))


def import_litert(module: str) -> Any:
    """Returns a module of LiteRT, which is an optional extra.

    Raises:
        DetectorMissing: LiteRT is not installed.
    """
    try:
        return import_module(f"ai_edge_litert.{module}")
    except ImportError as error:
        raise DetectorMissing(
            "LiteRT is not installed (package ai-edge-litert)",
            "birdnet",
            "Run: pip install 'badc[birdnet]'",
        ) from error


def _load_interpreter(model: Path | bytes) -> Any:
    load = import_litert("interpreter").Interpreter
    if isinstance(model, bytes):
        return load(model_content=model, num_threads=1)
    return load(str(model), num_threads=1)
