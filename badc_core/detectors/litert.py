"""TensorFlow Lite models: running one on LiteRT, and reading a model file as data.

A file gives its constants, and the model that begins at one of its inner tensors.
"""

import mmap
import struct
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from badc_core.errors import DetectorMissing

_ONE_OFFSET = struct.Struct("<I")
_ONE_TENSOR = struct.Struct("<i")
_VTABLE_INPUTS = 6
_VTABLE_OPERATORS = 10


class LiteModel:
    """A model in memory, run by one thread."""

    def __init__(
        self, model: Path | bytes, shape: tuple[int, ...] = (), is_plain: bool = False
    ) -> None:
        """Loads the model.

        Args:
            model: its file, or the content of one.
            shape: of the values it will be given, where that is not what the model says.
            is_plain: runs it without the XNNPACK delegate, which is slow to load and prints a
                message on standard error; for small models.

        Raises:
            DetectorMissing: LiteRT is not installed.
        """
        self._interpreter = _load_interpreter(model, is_plain)
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


class LiteFile:
    """An open model file of one graph.

    Source:
        TensorFlow Lite's FlatBuffers schema, version 3: in the table `SubGraph` the vector of
        inputs is field 1, that of operators field 3; vectors of tables hold offsets that count
        from their own place.
    """

    def __init__(self, path: Path) -> None:
        """Maps the file.

        Raises:
            DetectorMissing: LiteRT is not installed.
            OSError: the file cannot be read.
        """
        schema = import_litert("schema_py_generated")
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._model: Any = schema.Model.GetRootAs(self._bytes, 0)
        self._graph: Any = self._model.Subgraphs(0)
        n_tensors = self._graph.TensorsLength()
        self._tensors = {self._graph.Tensors(i).Name().decode(): i for i in range(n_tensors)}

    def constant(self, name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        """Returns a copy of a constant tensor.

        Raises:
            LookupError: there is no such tensor, or it is not a constant.
        """
        tensor = self._graph.Tensors(self._number(name))
        buffer = self._model.Buffers(tensor.Buffer())
        if buffer.DataIsNone():
            raise LookupError(f"{name} is not a constant")
        content = buffer.DataAsNumpy()
        shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
        return cast("npt.NDArray[Any]", content.view(dtype).reshape(shape).copy())

    def beginning_at(self, name: str) -> bytes:
        """Returns the model that takes a tensor as its input, without what computes it.

        Nothing else is changed: the operators that remain are those of the file, in its order.

        Raises:
            LookupError: there is no such tensor, nothing computes it, or what comes after it needs
                more than it.
        """
        tensor = self._number(name)
        n_left_out = self._operators_before(tensor)
        operators, n_operators = self._vector(_VTABLE_OPERATORS)
        inputs, n_inputs = self._vector(_VTABLE_INPUTS)
        if n_inputs != 1:
            raise LookupError(f"the model has {n_inputs} inputs")
        shift = _ONE_OFFSET.size * n_left_out
        end = operators + _ONE_OFFSET.size * n_operators
        kept = np.frombuffer(self._bytes[operators + shift : end], "<u4") + np.uint32(shift)
        return self._with(
            {
                inputs: _ONE_TENSOR.pack(tensor),
                operators - _ONE_OFFSET.size: _ONE_OFFSET.pack(len(kept)) + kept.tobytes(),
            }
        )

    def _number(self, name: str) -> int:
        if name not in self._tensors:
            raise LookupError(f"no tensor {name}")
        return self._tensors[name]

    def _operators_before(self, tensor: int) -> int:
        """Returns how many operators come up to the one that computes a tensor."""
        count = self._graph.OperatorsLength()
        made_by = {
            output: number
            for number in range(count)
            for output in self._graph.Operators(number).OutputsAsNumpy().tolist()
        }
        if tensor not in made_by:
            raise LookupError("no operator computes the tensor")
        n_before = made_by[tensor] + 1
        for number in range(n_before, count):
            for used in self._graph.Operators(number).InputsAsNumpy().tolist():
                if used != tensor and made_by.get(used, n_before) < n_before:
                    raise LookupError(f"operator {number} needs tensor {used} as well")
        return n_before

    def _vector(self, field: int) -> tuple[int, int]:
        """Returns where a vector of the graph's table begins in the file, and its length."""
        table = self._graph._tab  # noqa: SLF001  (generated code offers no other way)
        offset = table.Offset(field)
        return int(table.Vector(offset)), int(table.VectorLen(offset))

    def _with(self, changes: dict[int, bytes]) -> bytes:
        """Returns the file's bytes with parts replaced; they are never in memory twice."""
        parts: list[bytes | memoryview] = []
        with memoryview(self._bytes) as whole:
            position = 0
            for start, content in sorted(changes.items()):
                parts += [whole[position:start], content]
                position = start + len(content)
            return b"".join([*parts, whole[position:]])


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


def _load_interpreter(model: Path | bytes, is_plain: bool) -> Any:
    litert = import_litert("interpreter")
    kinds = litert.OpResolverType
    given = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    return litert.Interpreter(
        **given,
        num_threads=1,
        experimental_op_resolver_type=(
            kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES if is_plain else kinds.AUTO
        ),
    )
