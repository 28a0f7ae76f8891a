"""The devices of this machine that are lent, and how often each.

They are the GPUs that NVML shows, or, where there is none, the CPU. A file `devices.toml` in the
lease folder may say how many slots there are on each, and declare devices that NVML does not show.
"""

import logging
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from badc_core.devices.inventory import Gpu, GpuInventory
from badc_core.errors import ConfigInvalid
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
    """A device that is lent.

    Attributes:
        uuid: what CUDA_VISIBLE_DEVICES calls it; `cpu` for the CPU.
        label: what people call it.
        memory_mib: total; 0 where that is not known or not its own.
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
    """What `devices.toml` says; every key may be absent.

    Attributes:
        slots_per_device: leases on one GPU at once.
        device: the devices there are, in place of what NVML shows.
    """

    model_config = ConfigDict(extra="forbid")
    slots_per_device: _Count | None = None
    device: tuple[_Declared, ...] = ()


def read_declaration(folder: Path) -> Declaration:
    """Returns what the lease folder's file declares; nothing where there is no file.

    Raises:
        ConfigInvalid: the file cannot be read or says something else.
    """
    path = folder / DECLARATION
    try:
        return Declaration.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Declaration()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"cannot be read: {error}", path) from error
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
    """Returns the devices that are lent: at least one, at last the CPU.

    Args:
        inventory: the GPUs this process may use.
        declaration: the machine's own file.
        names: devices that stand in for both. Of these too, GPUs that this process may not use
            are left out.
        slots: leases on one GPU at once; None for what the file says, or one.

    Raises:
        ConfigInvalid: a name cannot be one of a device, means several, or stands twice, or no slots
            are asked for.
    """
    if slots is not None and slots < 1:
        raise ConfigInvalid(
            f"{slots} slots on a device", remedy="Set slots_per_device to 1 or more"
        )
    each = slots or declaration.slots_per_device or 1
    if names:
        _check_names(names)
        found = [_named(name, inventory, 0, each) for name in names]
        missing = [name for name, device in zip(names, found, strict=True) if device is None]
        if missing:
            _log.warning("Not lent, as this process may not use them: %s", ", ".join(missing))
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
    """Returns a declared device, by its UUID if it is a GPU that NVML shows.

    So that two ways to call a GPU are not two GPUs. None for one that is hidden, or not there.
    """
    called = _gpus_called(name, inventory)
    if len(called) > 1:
        raise ConfigInvalid(
            f"device {name} means several: {', '.join(gpu.uuid for gpu in called)}",
            remedy="Call each by its UUID, as badc gpus shows it",
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
            raise ConfigInvalid(f"{name!r} is no name of a device", remedy="See docs/gpus.md")
        if names.count(name) > 1:
            raise ConfigInvalid(f"device {name} is declared twice", remedy="See docs/gpus.md")
