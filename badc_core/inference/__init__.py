"""A dataset's recordings to detections: journals, telemetry, files, one run at a time."""
