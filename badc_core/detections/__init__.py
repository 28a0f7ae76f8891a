"""The table of detections: its schema, its files, its checks."""
