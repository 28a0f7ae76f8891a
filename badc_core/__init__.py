"""BADC without an orchestrator: recordings, chunks, detectors, detections and reports.

Nothing here imports Dagster; `badc_dagster` wraps these calls in assets, sensors and jobs.
"""
