"""The recordings of a dataset: identity, place, time, quality."""
