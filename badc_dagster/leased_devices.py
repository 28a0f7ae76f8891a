"""The devices that the detector's asset asks the executor for, and those it has leased."""

from typing import Any

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.registry import uses_gpu
from badc_core.devices.current_lease import current_lease
from badc_core.engine.opening import gpu_request
from badc_core.errors import BadcError, ConfigInvalid
from badc_core.inference.recording_run import STAGE
from badc_dagster.executor.step_leases import DEVICES_TAG, VRAM_TAG


def device_tags(connection: Connection) -> dict[str, str]:
    """Returns the tags of the step that runs a dataset's detector.

    A detector for the CPU leases all of it, since it uses every core. If the settings cannot be
    read, no device is asked for: the step will say what is wrong with them.
    """
    try:
        settings = Dataset.open(connection.root).settings
        if settings.slurm.on_cluster(STAGE):
            return {}  # the cluster gives devices to its tasks
        if not uses_gpu(settings.detector):
            return {DEVICES_TAG: "cpu"}
    except BadcError:
        return {}
    request = gpu_request(settings.inference)
    most = "+" if request.most is None else f"-{request.most}"
    needs = {VRAM_TAG: str(request.vram_mib)} if request.vram_mib else {}
    return {DEVICES_TAG: f"{request.least}{most}", **needs}


def refuse_without_gpu(settings: DetectorSettings) -> None:
    """Makes sure that a step that needs a GPU has leased one, if this machine has GPUs.

    Raises:
        ConfigInvalid: it has not, since the run's settings are not those of the dataset.
    """
    lease = current_lease()
    if lease is not None and lease.leases_gpus and not lease.gpus and uses_gpu(settings):
        raise ConfigInvalid(
            f"{settings.name} runs on GPUs, and this step has leased none",
            "detector.name",
            "Steps lease devices for the detector in the dataset's badc.toml: set it there, not "
            "in the run's overrides",
        )


def lease_metadata() -> dict[str, Any]:
    """Returns metadata of the devices that this step has leased; empty without devices."""
    lease = current_lease()
    if lease is None or not lease.slots:
        return {}
    return {
        "leased_devices": dg.MetadataValue.text(", ".join(lease.slots)),
        "waited_for_device_s": lease.waited_s,
    }
