"""Checking detections by ear: queues, verdicts, precision, calibration and thresholds."""
