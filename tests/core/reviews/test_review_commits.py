"""Queues, verdicts and what follows from them are committed where results are."""

import csv
import json

import pytest
from support.archives import run_in
from support.finished_dataset import copy_finished
from typer.testing import CliRunner

from badc_core.datasets.dataset import Dataset
from badc_core.provenance.tracking import write_tracking_rules


@pytest.fixture
def dataset(tmp_path_factory, tmp_path):
    """Returns a dataset in the repository of DataLad."""
    found = copy_finished(tmp_path_factory, tmp_path / "saved")
    run_in(found.root, "datalad", "create", "--force")
    write_tracking_rules(found.root)
    run_in(found.root, "datalad", "save", "-m", "Save")
    return Dataset.open(found.root)


def changes(dataset):
    """Returns the subject of the last commit, and what none has."""
    subject = run_in(dataset.root, "git", "log", "-1", "--format=%s").strip()
    return subject, run_in(dataset.root, "git", "status", "--porcelain")


def judge(dataset, saved):
    """Saves verdicts on everything in the first queue, many times over."""
    with dataset.reviews.queue("queue-1").table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with saved.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for number in range(50, 150, 10):
            times = {"start_s": number, "end_s": number + 1}
            writer.writerows({**row, **times, "verdict": "correct"} for row in rows)


def test_each_command_commits_what_it_wrote(dataset, app, tmp_path):
    def review(*words):
        done = CliRunner().invoke(app, ["review", words[0], str(dataset.root), *words[1:]])
        assert done.exit_code == 0, done.output

    review("queue")
    assert changes(dataset) == ("queue-1: 5 detections to review", "")
    judge(dataset, saved := tmp_path / "ann.csv")
    review("import", str(saved))
    assert changes(dataset) == ("Add verdicts: 0001-ann.csv", "")
    assert not (dataset.reviews.verdict_files / "0001-ann.csv").is_symlink()  # in git itself
    review("results", "--precision", "0.5")
    assert changes(dataset) == ("[DATALAD RUNCMD] review results: precision 0.5", "")
    record = run_in(dataset.root, "git", "log", "-1", "--format=%b")
    content = json.loads(record[record.index("{") : record.rindex("}") + 1])
    assert content["cmd"] == "badc review results --precision 0.5 ."
    assert "reviews/0001-ann.csv" in content["inputs"]
    review("apply", "--precision", "0.5")
    assert changes(dataset) == ("[DATALAD RUNCMD] review apply: precision 0.5", "")
