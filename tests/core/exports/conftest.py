"""An empty dataset to which tests add recordings."""

from pathlib import Path

import pytest
from support.export_bench import ExportBench, open_bench


@pytest.fixture
def bench(tmp_path: Path) -> ExportBench:
    """Returns an empty dataset in a folder with a name that is hard to quote."""
    return open_bench(tmp_path / "l'été [1]")
