"""Paths as people typed them."""

import re

import pytest

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.file_names import require_name, to_file_name
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


def test_each_station_has_a_file_name_of_its_own_that_every_file_system_takes():
    names = [
        ("Ridge",), ("ridge",), ("RIDGE ",), ("a/b",), ("a\\b",), ("a", "b"), ("a b",),
        (None, "a b"), ("CON",), ("nul.txt",), ("..",), ("Größe",), ("鳥",), ("鴉",), ("x" * 500,),
        (None, None),
    ]  # fmt: skip
    files = [to_file_name(*one) for one in names]
    assert len({one.casefold() for one in files}) == len(names)
    for one in files:
        assert require_name(one) == one
        assert len(one) <= 80
        assert re.fullmatch("[a-z0-9.]+(-[a-z0-9.]+)*-[0-9a-f]{8}", one)
