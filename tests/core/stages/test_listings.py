"""Folders are listed again only after a name came or went."""

import os
import time

import pytest

from badc_core.stages import listings
from badc_core.stages.listings import list_each, list_like


@pytest.fixture
def listed(monkeypatch):
    """Returns the folders that were really listed."""
    found = []

    def count(folder):
        found.append(folder.name)
        return list_folder(folder)

    list_folder = listings._list_folder
    monkeypatch.setattr(listings, "_list_folder", count)
    return found


def age(folder, by_s=60):
    past_ns = time.time_ns() - by_s * 10**9
    os.utime(folder, ns=(past_ns, past_ns))


def test_a_folder_is_listed_again_after_a_name_came_or_went(tmp_path, listed):
    for name in ("a.csv", "b.csv", "b.txt"):
        (tmp_path / name).touch()
    example = [tmp_path / "x.csv"]
    age(tmp_path)
    assert list_like(example) == {"a", "b"}
    assert list_like(example) is list_like(example)
    assert len(listed) == 1
    (tmp_path / "b.csv").unlink()
    assert list_like(example) == {"a"}
    (tmp_path / "c.csv").touch()
    assert list_like(example) == {"a", "c"}


def test_a_folder_that_has_just_changed_may_change_again_unseen(tmp_path, listed):
    example = [tmp_path / "x.csv"]
    assert list_like(example) == set()
    now = tmp_path.stat()
    (tmp_path / "a.csv").touch()
    os.utime(tmp_path, ns=(now.st_atime_ns, now.st_mtime_ns))
    assert list_like(example) == {"a"}


def test_a_recording_must_have_every_file_and_a_folder_may_come_later(tmp_path, listed):
    example = [tmp_path / "made" / "x.csv", tmp_path / "more" / "x.html"]
    assert list_like(example) == set()
    for one in ("made/a.csv", "made/b.csv", "more/b.html"):
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).touch()
    assert list_like(example) == {"b"}


def test_a_folder_of_several_groups_is_listed_once_and_shown_to_whoever_listens(tmp_path, listed):
    for name in ("a.csv", "b.csv", "b.html"):
        (tmp_path / name).touch()
    age(tmp_path)
    groups = [[tmp_path / "x.csv"], [tmp_path / "x.html"]]
    shown = {}
    assert list_each(groups, shown.__setitem__) == [{"a", "b"}, {"b"}]
    assert len(listed) == 1
    assert set(shown[tmp_path]) == {"a.csv", "b.csv", "b.html"}
    shown.clear()
    assert list_each(groups, shown.__setitem__) == [{"a", "b"}, {"b"}]
    assert not shown


def test_of_several_folders_only_those_that_changed_are_listed_again(tmp_path, listed):
    example = [tmp_path / "made" / "x.csv", tmp_path / "more" / "x.html"]
    for one in ("made/a.csv", "made/b.csv", "more/a.html", "more/b.html"):
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).touch()
    age(tmp_path / "made")
    age(tmp_path / "more")
    assert list_like(example) == {"a", "b"}
    assert list_like(example) is list_like(example)
    listed.clear()
    (tmp_path / "more" / "b.html").unlink()
    assert list_like(example) == {"a"}
    assert listed == ["more"]
