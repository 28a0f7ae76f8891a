"""Detectors: programs and models that find bird sounds in chunks of audio."""
