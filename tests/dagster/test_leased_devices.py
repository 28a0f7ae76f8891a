"""What the detector's step asks of the executor, and what it tells of what it got."""

import pytest

from badc_core.detector_settings import DetectorSettings
from badc_core.devices.current_lease import LEASE_VARIABLE, CurrentLease
from badc_core.errors import ConfigInvalid
from badc_dagster.definitions import build_defs
from badc_dagster.leased_devices import device_tags, refuse_without_gpu


@pytest.mark.parametrize(
    ("settings", "tags"),
    [
        ('[detector]\nname = "birdnet"\n', {"badc/devices": "cpu"}),
        ('[detector]\nname = "hawkears"\n', {"badc/devices": "1+"}),
        (
            '[detector]\nname = "hawkears"\n[inference]\nmax_gpus = 2\nvram_mib = 6000\n',
            {"badc/devices": "1-2", "badc/vram_mib": "6000"},
        ),
        ('[detector]\nname = "command"\ncommand = "true"\n', {"badc/devices": "1+"}),
        ("[detector]\nname = 7\n", {}),
    ],
)
def test_tags_follow_the_datasets_settings(connection, settings, tags) -> None:
    (connection.root / "audio").mkdir(parents=True)
    (connection.root / "badc.toml").write_text(settings, encoding="utf-8")
    assert device_tags(connection) == tags


def test_the_executor_sees_the_tags_of_the_step(connection) -> None:
    (connection.root / "audio").mkdir(parents=True)
    (connection.root / "badc.toml").write_text('[detector]\nname = "hawkears"\n')
    job = build_defs([connection]).resolve_job_def("infer_job")
    assert job.get_node_named("raw_detections").definition.tags["badc/devices"] == "1+"
    assert job.executor_def.name == "gpu"


@pytest.mark.parametrize(("leases_gpus", "name"), [(True, "birdnet"), (False, "hawkears")])
def test_the_cpu_is_enough_for_its_own_detectors_and_where_no_gpu_is_leased(
    monkeypatch, leases_gpus, name
) -> None:
    lease = CurrentLease(leases_gpus=leases_gpus)
    monkeypatch.setenv(LEASE_VARIABLE, lease.environment()[LEASE_VARIABLE])
    refuse_without_gpu(DetectorSettings(name=name))


def test_a_step_for_gpus_does_not_run_on_the_cpu_by_accident(monkeypatch) -> None:
    lease = CurrentLease(leases_gpus=True)
    monkeypatch.setenv(LEASE_VARIABLE, lease.environment()[LEASE_VARIABLE])
    with pytest.raises(ConfigInvalid, match="has leased none"):
        refuse_without_gpu(DetectorSettings(name="hawkears"))
