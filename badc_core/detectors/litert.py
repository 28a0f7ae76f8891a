"""A TensorFlow Lite model with one input and one output, run on LiteRT."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from badc_core.errors import DetectorMissing


class LiteModel:
    """A model in memory, run by one thread."""

    def __init__(self, path: Path) -> None:
        """Loads the model.

        Raises:
            DetectorMissing: LiteRT is not installed.
        """
        self._interpreter = _load_interpreter(path)
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._output: int = self._interpreter.get_output_details()[0]["index"]

    def run(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the model's output for one input.

        Args:
            values: float32, without the leading dimension of 1 the model has.

        Returns:
            float32, likewise without it.
        """
        self._interpreter.set_tensor(self._input, values[np.newaxis])
        self._interpreter.invoke()
        return cast("npt.NDArray[np.float32]", self._interpreter.get_tensor(self._output)[0])


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
