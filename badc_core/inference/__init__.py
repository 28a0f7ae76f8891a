"""Running a detector over many chunks in worker processes that keep their model."""
