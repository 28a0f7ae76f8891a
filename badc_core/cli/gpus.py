"""`badc gpus`: what there is to compute on."""

from rich.console import Console
from rich.table import Table

from badc_core.devices.inventory import GpuInventory, find_gpus


def gpus() -> None:
    """List the GPUs this user may use, or say why there is none."""
    print_gpus(find_gpus(), Console())


def print_gpus(inventory: GpuInventory, console: Console) -> None:
    """Prints a table of GPUs, or the diagnosis.

    Args:
        inventory: what was found.
        console: where to.
    """
    if not inventory.gpus:
        console.print(
            f"No GPU: {inventory.diagnosis}.", soft_wrap=True, highlight=False, markup=False
        )
        return
    table = Table(title="GPUs", title_justify="left")
    table.add_column("Index", justify="right")
    table.add_column("Name")
    table.add_column("UUID", overflow="fold")
    table.add_column("Memory", justify="right")
    for gpu in inventory.gpus:
        memory = f"{gpu.memory_mib} MiB" if gpu.memory_mib else "shared"
        table.add_row(str(gpu.index), gpu.name, gpu.uuid, memory)
    console.print(table)
