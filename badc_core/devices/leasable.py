"""The devices of this machine that can be leased, and the slots of each.

They are the GPUs that NVML shows, and the CPU. A file `devices.toml` in the lease folder may set
the number of slots on each, and declare devices that NVML does not show.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from badc_core.devices.inventory import Gpu, GpuInventory
from badc_core.errors import ConfigInvalid
from badc_core.toml_files import read_toml
from badc_core.validation import explain_invalid

_log = logging.getLogger(__name__)
CPU = "cpu"
DECLARATION = "devices.toml"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}"
_REAL = ("GPU-", "MIG-")
_INDEX = re.compile(r"(?:gpu-)?([0-9]+)")
_NO_DRIVER = "No NVIDIA driver is installed"
_Name = Annotated[str, StringConstraints(pattern=re.compile(f"^{_NAME}$"))]
_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class LeasableDevice:
    """A device that can be leased.

    Attributes:
        uuid: what CUDA_VISIBLE_DEVICES calls it; `cpu` for the CPU.
        label: what people call it.
        memory_mib: total; 0 if unknown, or shared with the machine.
        slots: how many leases there may be at once.
    """

    uuid: str
    label: str
    memory_mib: int = 0
    slots: int = 1

    @property
    def is_cpu(self) -> bool:
        """Whether this is the CPU rather than a GPU."""
        return self.uuid == CPU


class _Declared(BaseModel):
    """A `[[device]]` of the file."""

    model_config = ConfigDict(extra="forbid")
    uuid: _Name
    memory_mib: Annotated[int, Field(ge=0)] = 0
    slots: _Count | None = None


class Declaration(BaseModel):
    """The content of `devices.toml`; every key may be absent.

    Attributes:
        slots_per_device: leases on one GPU at once.
        device: the devices, in place of those that NVML shows.
    """

    model_config = ConfigDict(extra="forbid")
    slots_per_device: _Count | None = None
    device: tuple[_Declared, ...] = ()


def read_declaration(folder: Path) -> Declaration:
    """Returns the declaration in the lease folder; an empty one if there is no file.

    Raises:
        ConfigInvalid: the file cannot be read, or is not a declaration.
    """
    path = folder / DECLARATION
    try:
        return Declaration.model_validate(read_toml(path))
    except FileNotFoundError:
        return Declaration()
    except ValidationError as error:
        raise ConfigInvalid(
            explain_invalid(error, Declaration), path, "See docs/gpus.md"
        ) from error


def leasable_devices(
    inventory: GpuInventory,
    declaration: Declaration,
    names: Sequence[str] = (),
    slots: int | None = None,
) -> tuple[LeasableDevice, ...]:
    """Returns the devices that can be leased: GPUs, and always the CPU.

    Args:
        inventory: the GPUs this process may use.
        declaration: the machine's own file.
        names: devices in place of both. GPUs that this process may not use are left out of these
            too.
        slots: leases on one GPU at once; None for the file's number, or one.

    Raises:
        ConfigInvalid: a name is invalid, ambiguous or repeated, or `slots` is below 1.
    """
    if slots is not None and slots < 1:
        raise ConfigInvalid(f"invalid slots_per_device {slots}", remedy="Use 1 or more")
    each = slots or declaration.slots_per_device or 1
    if names:
        _check_names(names)
        found = [_named(name, inventory, 0, each) for name in names]
        missing = [name for name, device in zip(names, found, strict=True) if device is None]
        if missing:
            _log.warning("Left out, since this process may not use them: %s", ", ".join(missing))
    elif declaration.device:
        found = [
            _named(one.uuid, inventory, one.memory_mib, one.slots or each)
            for one in declaration.device
        ]
    else:
        found = [_shown(gpu, gpu.memory_mib, each) for gpu in inventory.gpus]
    devices = [device for device in found if device is not None]
    _check_names([device.uuid for device in devices])
    cpus = [device for device in devices if device.is_cpu]
    return (*_labelled(devices), *(() if cpus else (LeasableDevice(CPU, CPU),)))


def _shown(gpu: Gpu, memory_mib: int, slots: int) -> LeasableDevice:
    return LeasableDevice(gpu.uuid, f"gpu-{gpu.index}", memory_mib, slots)


def _named(
    name: str, inventory: GpuInventory, memory_mib: int, slots: int
) -> LeasableDevice | None:
    """Returns a declared device, under its UUID if it is a GPU that NVML shows.

    Then two names of a GPU are not two GPUs. None for a GPU that is hidden or absent.
    """
    called = _gpus_called(name, inventory)
    if len(called) > 1:
        raise ConfigInvalid(
            f"device {name} is ambiguous: {', '.join(gpu.uuid for gpu in called)}",
            remedy="Use UUIDs, as badc gpus shows them",
        )
    if called:
        return _shown(called[0], memory_mib or called[0].memory_mib, slots)
    is_real = name.startswith(_REAL) or _INDEX.fullmatch(name)
    if is_real and not inventory.diagnosis.startswith(_NO_DRIVER):
        return None
    return LeasableDevice(name, name, memory_mib, slots)


def _gpus_called(name: str, inventory: GpuInventory) -> list[Gpu]:
    """Returns the GPUs that a UUID, the beginning of one or an index means; slices share one."""
    if index := _INDEX.fullmatch(name):
        return [gpu for gpu in inventory.gpus if gpu.index == int(index[1])]
    exact = [gpu for gpu in inventory.gpus if gpu.uuid == name]
    is_beginning = name.startswith(_REAL)
    return exact or [gpu for gpu in inventory.gpus if is_beginning and gpu.uuid.startswith(name)]


def _labelled(devices: list[LeasableDevice]) -> list[LeasableDevice]:
    """Returns devices with labels that tell them apart: slices of one GPU share its number."""
    labels = [device.label for device in devices]
    return [
        replace(device, label=device.uuid) if labels.count(device.label) > 1 else device
        for device in devices
    ]


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not re.fullmatch(_NAME, name):
            raise ConfigInvalid(f"invalid device name {name!r}", remedy="See docs/gpus.md")
        if names.count(name) > 1:
            raise ConfigInvalid(f"device {name} is declared twice", remedy="See docs/gpus.md")
