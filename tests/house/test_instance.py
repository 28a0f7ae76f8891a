"""The shipped Dagster settings are ones that the installed Dagster accepts."""

import shutil
from pathlib import Path

import dagster as dg
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_shipped_instance_loads_and_means_what_it_says(tmp_path):
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue.max_concurrent_runs == 2
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled


def test_the_workspace_names_a_package_that_is_here():
    text = (REPOSITORY / "workspace.yaml").read_text(encoding="utf-8")
    module = yaml.safe_load(text)["load_from"][0]["python_module"]["module_name"]
    assert (REPOSITORY / module / "__init__.py").exists()
