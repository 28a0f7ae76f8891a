"""Commits of what earlier runs left, beside runs that begin meanwhile."""

import os
from pathlib import Path

import pytest
from support.archives import run_in

from badc_core.datasets.dataset import Dataset
from badc_core.provenance.commits import Commits
from badc_core.provenance.tracking import write_tracking_rules
from badc_core.stages import step_records
from badc_core.stages.step_records import (
    commit_dataset_files,
    commit_leftovers,
    dataset_files,
    setting_words,
)
from badc_core.stages.work import RecordingWork, Work


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Returns a dataset with descriptions of four recordings that no commit has."""
    (tmp_path / "audio").mkdir()
    for words in ("git init -q", "git annex init -q", "git commit -q --allow-empty -m Begin"):
        run_in(tmp_path, *words.split())
    dataset = Dataset.open(tmp_path)
    for one in "abcd":
        path = dataset.recording(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one)
    return dataset


def committed(root: Path) -> list[str]:
    names = run_in(root, "git", "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    return [os.path.basename(one) for one in names]  # noqa: PTH119


def test_leftovers_are_committed_in_portions_until_another_run_begins(dataset, monkeypatch):
    begun: list[RecordingWork] = []

    class Beginning(Commits):
        """Has another run begin as soon as something is committed."""

        def commit(self, paths, record):
            made = super().commit(paths, record)
            begun.append(Work(dataset.work_folder).begin("recording", "x"))
            return made

    monkeypatch.setattr(step_records, "IN_A_BATCH", 2)
    commit_leftovers(dataset, Beginning(dataset, pytest.fail))
    assert committed(dataset.root) == ["a.json", "b.json"]
    begun.pop().commit()
    commit_leftovers(dataset, Commits(dataset, pytest.fail))
    assert committed(dataset.root) == ["a.json", "b.json", "c.json", "d.json"]


def test_settings_that_an_early_save_annexed_are_put_into_git_so_that_clones_have_them(
    dataset, tmp_path_factory
) -> None:
    settings = dataset.root / "badc.toml"
    settings.write_text("[detector]\nmin_score = 0.5\n")
    run_in(dataset.root, "git", "annex", "add", "-q", "badc.toml")
    run_in(dataset.root, "git", "commit", "-q", "-m", "An early save")
    assert settings.is_symlink()
    write_tracking_rules(dataset.root)
    for _ in range(2):
        commit_dataset_files(dataset, Commits(dataset, pytest.fail))
    assert run_in(dataset.root, "git", "status", "--porcelain", "badc.toml", ".gitattributes") == ""
    clone = tmp_path_factory.mktemp("clones") / "clone"
    run_in(dataset.root, "git", "clone", "-q", dataset.root, clone)
    assert (clone / "badc.toml").read_text() == "[detector]\nmin_score = 0.5\n"


def test_a_record_names_the_file_of_thresholds_and_not_what_is_in_it(tmp_path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "badc.toml").write_text("[detector]\nthresholds = {Wren = 0.4}\n")
    (tmp_path / "t.csv").write_text("label,threshold\nOvenbird,0.9\n")
    given = {"thresholds_file": "t.csv", "min_score": 0.3}
    words = setting_words(Dataset.open(tmp_path, {"detector": given}))
    quoted = f'"{tmp_path / "t.csv"}"'
    own = [one for one in words[1::2] if one.startswith("detector.")]
    assert own == [f"detector.thresholds_file={quoted}", "detector.min_score=0.3"]
    more = setting_words(Dataset.open(tmp_path, {"detector": given | {"thresholds": {}}}))
    assert "detector.thresholds={Ovenbird = 0.9}" in more[1::2], "Wren has none in this run"


def test_files_that_settings_name_are_part_of_a_dataset_if_they_are_in_it(tmp_path) -> None:
    (tmp_path / "pond" / "audio").mkdir(parents=True)
    (tmp_path / "ours.txt").write_text("Ovenbird\n")
    settings = {"species_list": "../ours.txt", "calibration_file": "curves.csv"}
    found = dataset_files(Dataset.open(tmp_path / "pond", {"detector": settings}))
    names = {one.name for one in found}
    assert "curves.csv" in names
    assert "ours.txt" not in names
