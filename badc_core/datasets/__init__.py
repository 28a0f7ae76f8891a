"""Datasets: the paths inside one, and the register of those the asset graph shows."""
