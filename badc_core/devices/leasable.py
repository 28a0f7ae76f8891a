"""The devices of this machine that are lent, and how often each.

They are the GPUs that NVML shows, or, where there is none, the CPU. A file `devices.toml` in the
lease folder may declare others, and how many slots there are on each.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from badc_core.devices.inventory import GpuInventory
from badc_core.errors import ConfigInvalid

CPU = "cpu"
DECLARATION = "devices.toml"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]*"
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
        ConfigInvalid: a name cannot be one of a device, or stands twice.
    """
    each = slots or declaration.slots_per_device or 1
    if names:
        devices = [LeasableDevice(name, name, 0, each) for name in names]
    elif declaration.device:
        devices = [
            LeasableDevice(one.uuid, one.uuid, one.memory_mib, one.slots or each)
            for one in declaration.device
        ]
    else:
        devices = [
            LeasableDevice(gpu.uuid, f"gpu-{gpu.index}", gpu.memory_mib, each)
            for gpu in inventory.gpus
        ]
    _check([device.uuid for device in devices])
    cpus = [device for device in devices if device.is_cpu]
    return (*_labelled(devices), *(() if cpus else (LeasableDevice(CPU, CPU),)))


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
