"""What the detector's asset asks of the executor, and what it got."""

from typing import Any

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.registry import uses_gpu
from badc_core.devices.current_lease import current_lease
from badc_core.engine.opening import gpu_request
from badc_core.errors import BadcError, ConfigInvalid
from badc_dagster.executor.step_leases import DEVICES_TAG, VRAM_TAG


def device_tags(connection: Connection) -> dict[str, str]:
    """Returns the tags of the step that runs a dataset's detector.

    One that runs on the CPU gets that to itself, since it uses every core. Where the settings
    cannot be read no device is asked for: the step will say what is wrong with them.
    """
    try:
        settings = Dataset.open(connection.root).settings
        if not uses_gpu(settings.detector):
            return {DEVICES_TAG: "cpu"}
    except BadcError:
        return {}
    request = gpu_request(settings.inference)
    most = "+" if request.most is None else f"-{request.most}"
    needs = {VRAM_TAG: str(request.vram_mib)} if request.vram_mib else {}
    return {DEVICES_TAG: f"{request.least}{most}", **needs}


def refuse_without_gpu(settings: DetectorSettings) -> None:
    """Makes sure that a step that needs a GPU was lent one, where any are lent.

    Raises:
        ConfigInvalid: it was not, since the run's settings are not those of the dataset.
    """
    held = current_lease()
    if held is not None and held.leases_gpus and not held.gpus and uses_gpu(settings):
        raise ConfigInvalid(
            f"{settings.name} runs on GPUs, and this step was lent none",
            "detector.name",
            "What a step is lent follows the dataset's badc.toml: set the detector there, not in "
            "the run's overrides",
        )


def lease_metadata() -> dict[str, Any]:
    """Returns what to tell of the devices this step was lent; nothing where it was lent none."""
    held = current_lease()
    if held is None or not held.slots:
        return {}
    return {
        "lent": dg.MetadataValue.text(", ".join(held.slots)),
        "waited_for_device_s": held.waited_s,
    }
