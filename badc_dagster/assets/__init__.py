"""The asset graph: one file per asset, each a factory that takes a dataset's connection.

Bodies are thin: they call one core function and hand its outcomes to `per_recording.py`.
"""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_dagster.assets.chunk_manifest import build_chunk_manifest
from badc_dagster.assets.corpus import build_corpus_detections, build_corpus_report
from badc_dagster.assets.detections import build_detections
from badc_dagster.assets.recording import build_recording
from badc_dagster.assets.recordings import build_recordings
from badc_dagster.assets.report_bundle import build_report_bundle


def build_assets(connection: Connection) -> list[dg.AssetsDefinition]:
    """Returns all assets of a dataset."""
    builders = (
        build_recordings,
        build_recording,
        build_chunk_manifest,
        build_detections,
        build_report_bundle,
        build_corpus_detections,
        build_corpus_report,
    )
    return [build(connection) for build in builders]
