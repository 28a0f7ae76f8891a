"""How devices, their slots and the queue look on screen.

What is shown is read by `badc_core/cli/gpus.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from badc_core.cli.tables import EndOf, plain_table
from badc_core.devices.inventory import GpuInventory
from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_queue import Waiting
from badc_core.devices.lease_request import Holder
from badc_core.devices.lease_table import DeviceSlot
from badc_core.units import format_duration

_NOTHING = "-"
_N_RUN_CHARACTERS = 8
_FOREIGN = "*"


@dataclass(frozen=True)
class Picture:
    """Devices, slots and queue at one moment.

    Attributes:
        inventory: the GPUs.
        devices: those that can be leased here.
        free_mib: UUID -> memory free by measurement.
        slots: with their holders; some may be of devices that only others share.
        queue: who waits, first come first.
        folder: where leases are kept.
        at: when this was.
        trouble: why slots and queue could not be read; empty if they were.
    """

    inventory: GpuInventory
    devices: Sequence[LeasableDevice]
    free_mib: Mapping[str, float | None]
    slots: Sequence[DeviceSlot]
    queue: Sequence[Waiting]
    folder: Path
    at: datetime
    trouble: str = ""


def render_gpus(picture: Picture) -> RenderableType:
    """Returns the whole picture; eighty columns are enough for it."""
    parts: list[RenderableType] = []
    if not picture.inventory.gpus:
        parts.append(Text(f"No GPU: {picture.inventory.diagnosis}."))
    parts.append(_devices(picture))
    if picture.trouble:
        parts.append(Text(f"\nSlots cannot be read now: {picture.trouble}"))
    else:
        parts += [_slots(picture), _queue(picture)]
    parts.append(EndOf(f"Leases are kept in {picture.folder}", "dim"))
    return Group(*parts)


def describe(picture: Picture) -> dict[str, Any]:
    """Returns the whole picture for JSON."""
    return {
        "diagnosis": picture.inventory.diagnosis,
        "devices": [
            {
                "label": one.label,
                "uuid": one.uuid,
                "slots": one.slots,
                "memory_mib": one.memory_mib,
                "free_mib": picture.free_mib.get(one.uuid),
            }
            for one in picture.devices
        ],
        "slots": [
            {"device": one.device.label, "slot": one.number, "holder": one.holder}
            for one in picture.slots
        ],
        "waiting": [
            {"wants": str(one.request), "holder": Holder.read(one.content)} for one in picture.queue
        ],
        "lease_folder": picture.folder,
        "trouble": picture.trouble,
    }


def _devices(picture: Picture) -> Table:
    names = {gpu.uuid: gpu.name for gpu in picture.inventory.gpus}
    table = plain_table("Devices")
    table.add_column("Device")
    for name in ("Slots", "Free", "MiB", "MiB free"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("GPU", overflow="fold")
    for device in picture.devices:
        free_mib = picture.free_mib.get(device.uuid)
        uuid = "" if device.label == device.uuid else device.uuid
        table.add_row(
            EndOf(device.label),
            str(device.slots),
            _NOTHING if picture.trouble else str(_n_free(device, picture.slots)),
            str(device.memory_mib) if device.memory_mib else _NOTHING,
            _NOTHING if free_mib is None else f"{free_mib:.0f}",
            Text("\n".join(filter(None, (names.get(device.uuid), uuid))) or _NOTHING),
        )
    return table


def _slots(picture: Picture) -> RenderableType:
    table = _of_holders("Slots", "Device", "DeviceSlot")
    is_any_foreign = False
    for slot in picture.slots:
        is_foreign = slot.number >= slot.device.slots
        is_any_foreign |= is_foreign
        label = slot.device.label + (_FOREIGN if is_foreign else "")
        cells = _describe(slot.holder, picture.at) if slot.holder else [Text("free", "green")]
        table.add_row(EndOf(label), str(slot.number), *cells)
    if not is_any_foreign:
        return table
    return Group(table, Text(f"{_FOREIGN} leased by a run that has other devices or slots"))


def _queue(picture: Picture) -> RenderableType:
    if not picture.queue:
        return Text("\nNobody waits.\n")
    table = _of_holders("Waiting, first come first", "", "Wants")
    for number, who in enumerate(picture.queue, 1):
        holder = Holder.read(who.content)
        asleep = "" if who.is_active else " (idle)"
        cells = _describe(holder, picture.at)
        table.add_row(str(number), Text(f"{who.request}{asleep}"), *cells)
    return Group(table, Text())


def _of_holders(title: str, *first: str) -> Table:
    table = plain_table(title)
    for name in first:
        table.add_column(name)
    table.add_column("Work", ratio=1)
    table.add_column("Run", no_wrap=True)
    table.add_column("User")
    table.add_column("Pid", no_wrap=True, justify="right")
    table.add_column("For", no_wrap=True)
    return table


def _describe(holder: Holder, at: datetime) -> list[RenderableType]:
    return [
        EndOf(holder.work),
        Text(holder.run_id[:_N_RUN_CHARACTERS] or _NOTHING),
        EndOf(holder.user),
        str(holder.pid or _NOTHING),
        Text(_age(holder.since, at)),
    ]


def _age(since: str, at: datetime) -> str:
    """Returns how long ago a time was; a dash where that makes no sense."""
    try:
        age_s = (at - datetime.fromisoformat(since).astimezone(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return _NOTHING
    return format_duration(round(age_s)) if age_s >= 1 else "now" if age_s >= -1 else _NOTHING


def _n_free(device: LeasableDevice, slots: Sequence[DeviceSlot]) -> int:
    """Returns how many more leases there may be: the fewest that anybody on the device allows."""
    holders = [slot.holder for slot in slots if slot.device == device and slot.holder]
    allowed = min([device.slots, *(one.slots for one in holders if one.slots)])
    return max(0, allowed - len(holders))
