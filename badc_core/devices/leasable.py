"""The devices of this machine that are lent, and how often each.

They are the GPUs that NVML shows, or, where there is none, the CPU. A file `devices.toml` in the
lease folder may say how many slots there are on each, and declare devices that NVML does not show.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from badc_core.devices.inventory import VISIBLE, Gpu, GpuInventory
from badc_core.errors import ConfigInvalid

CPU = "cpu"
DECLARATION = "devices.toml"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}"
_REAL = ("GPU-", "MIG-")
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
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigInvalid(f"{key}: {first['msg']}", path, "See docs/gpus.md") from error


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
        names: devices that stand in for both.
        slots: leases on one GPU at once; None for what the file says, or one.

    Raises:
        ConfigInvalid: a name cannot be one of a device, or stands twice, or no slots are asked for.
    """
    if slots is not None and slots < 1:
        raise ConfigInvalid(
            f"{slots} slots on a device", remedy="Set slots_per_device to 1 or more"
        )
    each = slots or declaration.slots_per_device or 1
    if names:
        devices = [_named(name, inventory, 0, each) for name in names]
    elif declaration.device:
        devices = [
            _named(one.uuid, inventory, one.memory_mib, one.slots or each)
            for one in declaration.device
            if not _is_out_of_reach(one.uuid, inventory)
        ]
    else:
        devices = [_shown(gpu, gpu.memory_mib, each) for gpu in inventory.gpus]
    _check([device.uuid for device in devices])
    cpus = [device for device in devices if device.is_cpu]
    return (*_labelled(devices), *(() if cpus else (LeasableDevice(CPU, CPU),)))


def _shown(gpu: Gpu, memory_mib: int, slots: int) -> LeasableDevice:
    return LeasableDevice(gpu.uuid, f"gpu-{gpu.index}", memory_mib, slots)


def _named(name: str, inventory: GpuInventory, memory_mib: int, slots: int) -> LeasableDevice:
    """Returns a declared device, by its UUID if it is a GPU that NVML shows.

    So that two ways to call a GPU are not two GPUs.
    """
    found = _meant(name, inventory)
    if found is None:
        return LeasableDevice(name, name, memory_mib, slots)
    return _shown(found, memory_mib or found.memory_mib, slots)


def _meant(name: str, inventory: GpuInventory) -> Gpu | None:
    """Returns the GPU that a UUID, the beginning of one or an index means, if it is one."""
    found = [
        gpu
        for gpu in inventory.gpus
        if name in {str(gpu.index), f"gpu-{gpu.index}"}
        or (name.startswith(_REAL) and gpu.uuid.startswith(name))
    ]
    return found[0] if len(found) == 1 else None


def _is_out_of_reach(name: str, inventory: GpuInventory) -> bool:
    """Tells whether a GPU of the machine's file is hidden from this process, or not there."""
    are_hidden = inventory.diagnosis.startswith(VISIBLE)
    is_known = are_hidden or bool(inventory.gpus)
    return is_known and name.startswith(_REAL) and _meant(name, inventory) is None


def _labelled(devices: list[LeasableDevice]) -> list[LeasableDevice]:
    """Returns devices with labels that tell them apart: slices of one GPU share its number."""
    labels = [device.label for device in devices]
    return [
        replace(device, label=device.uuid) if labels.count(device.label) > 1 else device
        for device in devices
    ]


def _check(uuids: list[str]) -> None:
    for uuid in uuids:
        if not re.fullmatch(_NAME, uuid):
            raise ConfigInvalid(f"{uuid!r} is no name of a device", remedy="See docs/gpus.md")
        if uuids.count(uuid) > 1:
            raise ConfigInvalid(f"device {uuid} is declared twice", remedy="See docs/gpus.md")
