"""A folder of a movie, and secrets that must be found nowhere."""

from pathlib import Path

import pytest


@pytest.fixture
def movie_dir(tmp_path: Path) -> Path:
    """Returns a folder of the documented layout without jobs."""
    folder = tmp_path / "out" / "Inception_2010"
    for name in ("audio", "metadata", "entities"):
        (folder / name).mkdir(parents=True)
    return folder
