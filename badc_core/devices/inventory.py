"""The GPUs that this process may use, or why there are none.

Their use is measured in `sampler.py`; workers are assigned to them in `places.py`.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

from badc_core.devices import nvml as codes
from badc_core.devices.nvml import Handle, Nvml, NvmlFailed

_log = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"

_DIAGNOSES = {
    codes.LIBRARY_NOT_FOUND: "No NVIDIA driver is installed here: its library libnvidia-ml was "
    "not found",
    codes.DRIVER_NOT_LOADED: "The NVIDIA driver is installed but not loaded; see what nvidia-smi "
    "says",
    codes.NO_PERMISSION: 'The NVIDIA driver answers "Insufficient Permissions": this user may not '
    "use /dev/nvidia*; under SLURM ask for a GPU, such as --gres=gpu:1",
    codes.VERSION_MISMATCH: "The NVIDIA driver was updated while an older one is still loaded; "
    "restart the machine",
}


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG slice of one.

    Attributes:
        index: of the physical GPU, as in `nvidia-smi`; slices of one GPU share it.
        uuid: its name in CUDA_VISIBLE_DEVICES.
        name: the model.
        memory_mib: total; 0 if the GPU uses the machine's memory.
    """

    index: int
    uuid: str
    name: str
    memory_mib: int


@dataclass(frozen=True)
class GpuInventory:
    """The GPUs this process may use.

    Attributes:
        gpus: in the order in which CUDA numbers them.
        diagnosis: why there are none, a sentence without a full stop; empty if there are some.
    """

    gpus: tuple[Gpu, ...]
    diagnosis: str


@dataclass(frozen=True)
class _Board:
    """A physical GPU and its MIG slices."""

    gpu: Gpu
    slices: tuple[Gpu, ...]


def find_gpus(
    environment: Mapping[str, str] | None = None, nvml: Nvml | None = None
) -> GpuInventory:
    """Returns the GPUs of this machine that CUDA_VISIBLE_DEVICES does not hide.

    Args:
        environment: its variables; None for this process's own.
        nvml: the management library; None for the real one.
    """
    visible = (os.environ if environment is None else environment).get(VISIBLE)
    try:
        with nvml or Nvml() as library:
            boards, trouble = _boards(library)
    except NvmlFailed as error:
        return GpuInventory((), _diagnose(error))
    if not boards:
        return GpuInventory((), _diagnose(trouble) if trouble else "The driver sees no GPU")
    gpus = _everything(boards) if visible is None else _chosen(boards, visible)
    hidden = f"{VISIBLE}={visible!r} hides the {len(boards)} GPU(s) that are here"
    return GpuInventory(gpus, "" if gpus else hidden)


def _boards(nvml: Nvml) -> tuple[list[_Board], NvmlFailed | None]:
    """Returns the GPUs that can be used, and why one cannot."""
    boards = []
    trouble = None
    for index in range(nvml.n_gpus()):
        try:
            handle = nvml.gpu(index)
            slices = tuple(_describe(nvml, index, one) for one in nvml.slices(handle))
            boards.append(_Board(_describe(nvml, index, handle), slices))
        except NvmlFailed as error:
            trouble = error
            # Under SLURM other jobs' GPUs are forbidden, which is normal.
            if error.code != codes.NO_PERMISSION:
                _log.warning("GPU %d is left out: %s", index, error)
    return boards, trouble


def _diagnose(error: NvmlFailed) -> str:
    return _DIAGNOSES.get(error.code, f"NVML cannot be used: {error}")


def _describe(nvml: Nvml, index: int, device: Handle) -> Gpu:
    return Gpu(index, nvml.uuid(device), nvml.name(device), _memory_mib(nvml, device))


def _memory_mib(nvml: Nvml, device: Handle) -> int:
    try:
        return round(nvml.memory(device).total_mib)
    except NvmlFailed as error:
        if error.is_unsupported:
            return 0
        raise


def _everything(boards: list[_Board]) -> tuple[Gpu, ...]:
    """Returns all GPUs, with MIG slices in place of the GPUs they are on."""
    return tuple(gpu for board in boards for gpu in board.slices or (board.gpu,))


def _chosen(boards: list[_Board], visible: str) -> tuple[Gpu, ...]:
    """Returns the GPUs in a list of indices and UUIDs.

    Source: CUDA C++ Programming Guide, "CUDA Environment Variables": only devices listed before
    the first invalid entry are visible.
    """
    chosen: list[Gpu] = []
    for entry in visible.split(","):
        gpu = _find(boards, entry.strip())
        if gpu is None:
            break
        if gpu not in chosen:
            chosen.append(gpu)
    return tuple(chosen)


def _find(boards: list[_Board], entry: str) -> Gpu | None:
    """Returns the GPU with an index, a UUID or the beginning of one; None if there is none."""
    if entry.isdecimal():
        # CUDA counts only the GPUs that this process's cgroup allows.
        return _usable(boards[int(entry)]) if int(entry) < len(boards) else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    devices = {
        gpu.uuid: _usable(board) if gpu == board.gpu else gpu
        for board in boards
        for gpu in (board.gpu, *board.slices)
    }
    if entry in devices:
        return devices[entry]
    found = [gpu for uuid, gpu in devices.items() if uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def _usable(board: _Board) -> Gpu:
    """Returns the device that CUDA uses for a whole GPU: its first MIG slice, if it has any."""
    return board.slices[0] if board.slices else board.gpu
