"""A TensorFlow Lite model with one input and one output, run on LiteRT."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from badc_core.errors import DetectorMissing


class LiteModel:
    """A model in memory, run by one thread.

    Attributes:
        n_at_once: how many inputs it takes at once, always.
    """

    def __init__(self, path: Path, n_at_once: int = 1) -> None:
        """Loads the model.

        Raises:
            DetectorMissing: LiteRT is not installed.
        """
        self.n_at_once = n_at_once
        self._interpreter = _load_interpreter(path)
        described = self._interpreter.get_input_details()[0]
        self._input: int = described["index"]
        if n_at_once > 1:
            shape = [n_at_once, *described["shape"][1:]]
            self._interpreter.resize_tensor_input(self._input, shape)
        self._interpreter.allocate_tensors()
        self._output: int = self._interpreter.get_output_details()[0]["index"]

    def run(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns the model's outputs.

        Args:
            values: float32, shape [n_at_once, ...].

        Returns:
            float32, shape [n_at_once, ...].
        """
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return cast("npt.NDArray[np.float32]", self._interpreter.get_tensor(self._output))


def _load_interpreter(path: Path) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  (an optional extra)
    except ImportError as error:
        raise DetectorMissing(
            "LiteRT is not installed (package ai-edge-litert)",
            "birdnet",
            "Run: pip install 'badc[birdnet]'",
        ) from error
    return Interpreter(str(path), num_threads=1)
