"""Paths as people typed them."""

import pytest

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.inference.chunk_files import find_chunk_files
from badc_core.reports.aggregates import find_parquets


@pytest.mark.parametrize("find", [Dataset.open, find_chunk_files, find_parquets])
def test_a_file_in_place_of_a_folder_is_said_to_be_none(find, tmp_path):
    file = tmp_path / "a.parquet"
    file.touch()
    with pytest.raises(BadcError, match=r"a\.parquet: not a folder"):
        find(file)
    with pytest.raises(BadcError, match="nowhere: no such folder"):
        find(tmp_path / "nowhere")
