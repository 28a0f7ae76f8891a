"""An engine on the devices there are for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from badc_core.detectors.interface import DetectorIdentity
from badc_core.devices.current_lease import LeasedGpus, lease_descriptors, leased_gpus
from badc_core.devices.inventory import GpuInventory
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.places import plan_places, usable_cores
from badc_core.engine.engine import Engine
from badc_core.settings import InferenceSettings, Settings
from badc_core.telemetry.attempts import Attempt


@contextmanager
def open_engine(
    settings: Settings, detector: DetectorIdentity, observe: Callable[[Attempt], None]
) -> Iterator[Engine]:
    """Yields an engine with workers on this machine's devices, as the settings say.

    Without an executor's lease GPUs are leased here, which may mean waiting.

    Args:
        settings: the detector and how the work is spread.
        detector: what results will be said to be of, and whether a GPU is any use to it.
        observe: called with every attempt.

    Raises:
        ConfigInvalid: the machine does not have the GPUs that are asked for.
    """
    borrowed = (
        leased_gpus(gpu_request(settings.inference), f"inference with {detector.name}")
        if detector.uses_gpu
        else nullcontext(LeasedGpus(GpuInventory((), ""), lease_descriptors()))
    )
    with borrowed as gpus:
        places = plan_places(
            settings.inference,
            gpus.inventory,
            detector.uses_gpu,
            usable_cores(),
            gpus.descriptors,
        )
        with Engine(settings, detector, places, observe) as engine:
            yield engine


def gpu_request(settings: InferenceSettings) -> DeviceRequest:
    """Returns how many GPUs inference asks for: one, and as many as are idle, up to `max_gpus`."""
    return DeviceRequest(1, settings.max_gpus or None, settings.vram_mib)
