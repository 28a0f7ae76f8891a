"""The asset graph: one file per asset, each with a `build` that takes a dataset's connection.

The file of a stage's asset has the stage's name. Bodies are thin: they call one core function and
hand its outcomes to `per_recording.py`.
"""

from collections.abc import Callable
from importlib import import_module

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.stage import STAGES


def build_assets(connection: Connection) -> list[dg.AssetsDefinition]:
    """Returns all assets of a dataset."""
    # Imported where they are built: whoever finds that nothing is due needs none.
    from badc_dagster.assets import corpus, recordings  # noqa: PLC0415

    builders: list[Callable[[Connection], dg.AssetsDefinition]] = [
        recordings.build,
        *(import_module(f"{__name__}.{stage}").build for stage in STAGES),
        corpus.build_corpus_detections,
        corpus.build_corpus_report,
    ]
    return [build(connection) for build in builders]
