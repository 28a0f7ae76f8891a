"""How long a chunk fits a device: running the detector and measuring."""
