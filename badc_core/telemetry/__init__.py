"""Measurements of runs: never results."""
