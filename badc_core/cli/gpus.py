"""`badc gpus`: devices to compute on, who has leased them, and who waits for them."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from badc_core.cli.gpu_tables import Picture, describe, render_gpus
from badc_core.cli.options import taking_options
from badc_core.cli.output import Output, make_console
from badc_core.devices.inventory import find_gpus
from badc_core.devices.leasable import leasable_devices, read_declaration
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.leases import LeaseStore, measured_free_mib
from badc_core.errors import ConfigInvalid, LeasesBusy

_INTERVAL_S = 2.0


@taking_options
def gpus(
    out: Output,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, every 2 s, until Ctrl-C.")
    ] = False,
    lease_dir: Annotated[
        Path | None,
        typer.Option(
            "--lease-dir", help="Where leases are kept; BADC_LEASE_DIR or the usual one if not set."
        ),
    ] = None,
) -> None:
    """List devices, who has leased them, and who waits."""
    if watch and out.is_for_people:
        watch_leases(lambda: look(lease_dir), _INTERVAL_S, make_console())
        return
    picture = look(lease_dir)
    out.show(render_gpus(picture))
    out.give(describe(picture))


def look(lease_dir: Path | None) -> Picture:
    """Returns the state of all devices; no run is disturbed by it.

    Args:
        lease_dir: the lease folder; None for the usual one.

    Raises:
        ConfigInvalid: the lease folder cannot be used, or its devices.toml is wrong.
    """
    inventory = find_gpus()
    folder = lease_folder(lease_dir)
    devices = leasable_devices(inventory, read_declaration(folder.parent))
    free_mib = {one.uuid: measured_free_mib(one) for one in devices if not one.is_cpu}
    at = datetime.now(UTC)
    try:
        slots, queue = LeaseStore(folder, devices).look()
    except LeasesBusy as error:
        return Picture(inventory, devices, free_mib, (), (), folder, at, str(error))
    except OSError as error:
        raise ConfigInvalid(f"leases cannot be read: {error.strerror}", folder) from error
    return Picture(inventory, devices, free_mib, slots, queue, folder, at)


def watch_leases(see: Callable[[], Picture], interval_s: float, console: Console) -> None:
    """Shows the state of all devices until Ctrl-C, and leaves the last one on screen.

    Args:
        see: returns the state.
        interval_s: between two looks.
        console: where to.

    Raises:
        ConfigInvalid: of `look`.
    """
    picture = see()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(render_gpus(picture), refresh=True)
                time.sleep(interval_s)
                picture = see()
    except KeyboardInterrupt:
        console.print(render_gpus(picture))
