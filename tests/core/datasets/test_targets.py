"""Which dataset is meant by what was typed after `badc data`."""

from pathlib import Path

import pytest

from badc_core.datasets.connections import Connection, Origin
from badc_core.datasets.original_list import read_listed
from badc_core.datasets.targets import find_target
from badc_core.errors import ConfigInvalid, DatasetInvalid


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(typed, parent=None, url="", known=(), listed=()):
    target = find_target(typed, parent, url, known, listed)
    return target.name, target.root, target.url


@pytest.mark.parametrize("typed", ["pond", "Elk Island", "é;$(touch x)", "-rf", "a'\"b"])
def test_a_name_is_below_the_usual_folder_or_the_given_one(here, typed):
    _, root, _ = find(typed, url="https://x")
    assert root == here / "data/datalad" / typed
    _, root, url = find(typed, Path("archives"), "https://x")
    assert (root, url) == (here / "archives" / typed, "https://x")


def test_a_known_name_is_where_it_was_connected_unless_a_folder_is_given(here):
    known = [Connection("a_b", here / "old", origin=Origin("https://old", "git"))]
    assert find("a-b", known=known) == ("a_b", here / "old", "https://old")
    assert find("a-b", Path("new"), known=known) == ("a_b", here / "new/a-b", "https://old")


def test_a_folder_is_meant_by_its_path_or_where_no_dataset_has_the_name(here):
    (here / "pond").mkdir()
    assert find("./pond") == (None, here / "pond", "")
    assert find("pond") == (None, here / "pond", "")
    assert find(".") == (None, here, "")
    (here / "data/datalad/pond").mkdir(parents=True)
    assert find("pond") == ("pond", here / "data/datalad/pond", "")


def test_a_folder_to_clone_from_is_found_from_anywhere(here):
    (here / "source").mkdir()
    assert find("pond", url="source")[2] == str(here / "source")
    assert find("pond", url="git@host:source")[2] == "git@host:source"


def test_nothing_typed_is_no_dataset():
    with pytest.raises(DatasetInvalid, match="Give a name, or a folder"):
        find(" ")


@pytest.mark.parametrize("content", ["datasets = 3\n", "[datasets]\na = 1\n", "[datasets\n"])
def test_another_file_in_place_of_the_originals_list_is_named(here, content):
    (here / "data.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"data\.toml.*BADC_DATA_CONFIG"):
        read_listed(here / "data.toml")
    assert read_listed(here / "none.toml") == ()
