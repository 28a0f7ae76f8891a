"""Datasets of recordings that are in none: made whole or not at all."""

import os
from pathlib import Path

import pytest

from badc_core.datasets.linked import make_linked
from badc_core.errors import OutputUnwritable


@pytest.mark.parametrize("typed", ["card", "card/a.wav"])
def test_on_a_disk_without_links_nothing_is_left_behind(tmp_path, monkeypatch, typed):
    def refuse(*_args, **_options):
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "card").mkdir()
    (tmp_path / "card/a.wav").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "symlink", refuse)  # no such disk can be had without being root
    for _ in range(2):
        with pytest.raises(OutputUnwritable, match="cannot be made"):
            make_linked(Path(typed))
    assert [one.name for one in tmp_path.iterdir()] == ["card"]
