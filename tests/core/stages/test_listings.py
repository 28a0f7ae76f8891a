"""Folders are listed again only after a name came or went."""

import os
import time

import pytest

from badc_core.stages import listings
from badc_core.stages.listings import list_like


@pytest.fixture
def listed(monkeypatch):
    """Returns the folders that were really listed."""
    found = []

    def count(example):
        found.append(example.parent.name)
        return list_names(example)

    list_names = listings._list_names
    monkeypatch.setattr(listings, "_list_names", count)
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
