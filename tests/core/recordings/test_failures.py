"""Why recordings failed, in a clone that does not have it."""

import json

from support.archives import make_archive

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import fetch_failures, read_failures

NOTE = {"recording_id": "a", "stage": "recording", "error": "no sound", "failed_at": "then"}


def test_a_clone_says_at_first_that_a_recording_failed_and_then_why(tmp_path):
    files = {"artifacts/failures/a.json": json.dumps(NOTE).encode(), "audio/a.wav": b"no sound"}
    make_archive(tmp_path, files.items())
    dataset = Dataset.open(tmp_path / "archive")
    assert "datalad get" in read_failures(dataset)["a"].error
    fetch_failures(dataset)
    note = read_failures(dataset)["a"]
    assert (note.stage, note.error) == ("recording", "no sound")
