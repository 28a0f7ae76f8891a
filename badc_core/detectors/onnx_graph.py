"""Which input of an ONNX model takes the sound, and which output gives the scores.

Only what a model says of itself is looked at; it is run in `onnx_model.py`.
"""

import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from badc_core.errors import ConfigInvalid

_LOCATION = re.compile(rb"\n\x08location\x12([\x80-\xff]{0,4}[\x00-\x7f])")
"""The key `location` of a StringStringEntryProto, and a varint: the length of its value."""
_VARINT_BITS = 7


class Value(Protocol):
    """An input or an output, as onnxruntime describes it.

    Attributes:
        name: in the model.
        type: such as `tensor(float)`.
        shape: a number for each dimension; a name, or None, for one that is free.
    """

    name: str
    type: str
    shape: Sequence[int | str | None]


@dataclass(frozen=True)
class SoundInput:
    """The input that takes windows of sound.

    Attributes:
        name: in the model.
        has_channels: whether its shape is [n, 1, n_samples] rather than [n, n_samples].
        n_windows: how many it takes, neither more nor fewer; None for any number.
    """

    name: str
    has_channels: bool
    n_windows: int | None


def find_input(inputs: Sequence[Value], n_samples: int, model: Path) -> SoundInput:
    """Returns the input of a model.

    Raises:
        ConfigInvalid: there are several, or it does not take such windows.
    """
    wanted = "float32 of shape [n, samples] or [n, 1, samples]"
    if len(inputs) != 1:
        raise ConfigInvalid(
            f"the model has {len(inputs)} inputs ({_describe(inputs)}), not one",
            model,
            f"Export it with windows of sound as its only input: {wanted}",
        )
    (only,) = inputs
    *front, samples = only.shape or [0]
    is_sound = only.type == "tensor(float)" and len(front) in {1, 2}
    if not is_sound or (len(front) > 1 and isinstance(front[1], int) and front[1] != 1):
        raise ConfigInvalid(
            f"the model's input is {_describe(inputs)}, not sound",
            model,
            f"Export it together with what it does to sound first, so that it takes {wanted}",
        )
    if isinstance(samples, int) and samples != n_samples:
        raise ConfigInvalid(
            f"the model takes windows of {samples} samples, but window_s times sample_rate_hz is "
            f"{n_samples}",
            model,
            "Correct these two in detector.model",
        )
    n_windows = front[0] if isinstance(front[0], int) else None
    return SoundInput(only.name, len(front) > 1, n_windows)


def find_output(outputs: Sequence[Value], wanted: str, n_labels: int, model: Path) -> str:
    """Returns the name of the output that holds a score for each label.

    Args:
        outputs: all there are.
        wanted: its name; empty for the only one, or the only one of the right size.
        n_labels: how many labels there are.
        model: its file, for errors.

    Raises:
        ConfigInvalid: there is none, or more than one could be meant.
    """
    names = [one for one in outputs if not wanted or one.name == wanted]
    fitting = [one for one in names if _size(one) in {None, n_labels}]
    exact = [one for one in fitting if _size(one) is not None]
    chosen = exact if len(exact) == 1 else fitting
    if len(chosen) == 1:
        return chosen[0].name
    if not names:
        what, remedy = f"the model has no output {wanted!r}", "Correct detector.model.output"
    elif fitting:
        what, remedy = "several outputs could be the scores", "Name one as detector.model.output"
    else:
        what = f"the model gives no value for each of the {n_labels} labels"
        remedy = "Correct detector.model.labels, or name an output as detector.model.output"
    raise ConfigInvalid(f"{what}; its outputs are {_describe(outputs)}", model, remedy)


def find_files_beside(model: Path) -> tuple[Path, ...]:
    """Returns the files that a model names for weights that are not in its own, there or not.

    Source: `external_data` of TensorProto in onnx.proto: entries of a key and a value, of which
    `location` is a path below the model's folder. Found by their bytes, anywhere in the file.
    """
    with model.open("rb") as file:
        if not file.seek(0, 2):
            return ()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            places = {
                content[found.end() : found.end() + _read_varint(found[1])]
                for found in _LOCATION.finditer(content)
            }
    return tuple(model.parent / one.decode(errors="replace") for one in sorted(places) if one)


def _read_varint(content: bytes) -> int:
    """Returns a number of protobuf's: seven bits a byte, the lowest first."""
    groups = enumerate(byte & ((1 << _VARINT_BITS) - 1) for byte in content)
    return sum(group << (_VARINT_BITS * place) for place, group in groups)


def _size(value: Value) -> int | None:
    """Returns how many values an output has for a window; -1 for no such number, None if free."""
    is_table = value.type.startswith("tensor(") and len(value.shape) in {0, 2}
    if is_table and not value.shape:
        return None
    size = value.shape[1] if is_table else -1
    return size if isinstance(size, int) else None


def _describe(values: Sequence[Value]) -> str:
    """Returns names, types and shapes for people."""
    return ", ".join(f"{one.name} {one.type} [{', '.join(map(str, one.shape))}]" for one in values)
