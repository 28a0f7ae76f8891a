"""What several detectors found in the same sound: what `badc infer compare` does."""
