"""A job for pipelines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pipeline_lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Returns an installation with a job, and checks that nothing of it is left running."""
    lab = Lab(tmp_path)
    yield lab
    assert lab.processes() == []
