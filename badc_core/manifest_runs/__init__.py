"""Chunk manifests to detections without the asset graph: what `badc infer` does."""
