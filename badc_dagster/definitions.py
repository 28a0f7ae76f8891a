"""Everything Dagster loads: the assets, jobs, sensors and checks of all connected datasets.

And those of the pipelines in the home, whose code is imported only if there is one.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from badc_core.datasets.connections import Connection, read_connections
from badc_dagster.assets import build_assets, by_hand, exports, reviews, speech_segments
from badc_dagster.checks import build_checks
from badc_dagster.executor import gpu_executor
from badc_dagster.failure_notices import build_failure_sensor
from badc_dagster.home import home_path
from badc_dagster.jobs import build_jobs
from badc_dagster.partitions import settings_of
from badc_dagster.resources import DatasetResource
from badc_dagster.sensors import build_new_audio_sensor

# Both follow from docs/decisions/001 and Dagster remarks on them at every start.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
warnings.filterwarnings("ignore", "Asset job .* varying BackfillPolicies", UserWarning)


def build_defs(connections: Sequence[Connection], pipelines: Sequence[Path] = ()) -> dg.Definitions:
    """Returns fresh definitions for some datasets, and some files of pipelines.

    Every step has a process of its own, and the devices it asks for.
    """
    parts = [_dataset_defs(connection) for connection in connections]
    if pipelines:
        parts += _pipeline_defs(pipelines)
    return dg.Definitions.merge(*parts, dg.Definitions(executor=gpu_executor))


def _dataset_defs(connection: Connection) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            *build_assets(connection),
            speech_segments.build(connection),
            *by_hand.build(connection),
            *reviews.build(connection),
            *exports.build(connection),
        ],
        asset_checks=[*build_checks(connection), *by_hand.build_checks(connection)],
        jobs=build_jobs(connection),
        sensors=[build_new_audio_sensor(connection), *_failure_sensors(connection)],
        resources={connection.scoped("dataset"): DatasetResource(root=str(connection.root))},
    )


def _failure_sensors(connection: Connection) -> list[dg.SensorDefinition]:
    """Returns the sensor that sends notices, where a command for them is set."""
    is_set = settings_of(connection).notify.command
    return [build_failure_sensor(connection)] if is_set else []


def pipeline_files(home: Path) -> list[Path]:
    """Returns the files of the pipelines that are in the asset graph."""
    return sorted((home / "pipelines").glob("*.toml"))


def _pipeline_defs(paths: Sequence[Path]) -> list[dg.Definitions]:
    from badc_dagster.assets.pipelines import build, read_pipelines  # noqa: PLC0415  (see above)

    return [build(one) for one in read_pipelines(paths)]


defs = build_defs(read_connections(home_path()), pipeline_files(home_path()))
