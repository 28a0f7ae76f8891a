"""200 recordings of which five are bad: the others complete, and a rerun touches only the five."""

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import read_registry
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.home import open_instance
from badc_dagster.per_recording import connection_key

STAGES = ("recording", "chunk_manifest", "detections", "report_bundle")
HOSTILE = "audio/Sambaa K'e é/dawn chorus.wav"


@pytest.fixture
def history(tmp_path, monkeypatch):
    """Tells how often which asset was materialised, from the home the command used."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))

    def count() -> dict[str, int]:
        with open_instance() as instance:
            keys = [connection_key(Connection("", Path()), one) for one in STAGES]
            records = {key: instance.fetch_materializations(key, limit=1000) for key in keys}
        return {key.path[-1]: len(found.records) for key, found in records.items()}

    return count


def artefacts(dataset: Dataset) -> dict[str, int]:
    """Returns path -> time of last change of everything made, but what is about failures."""
    about_failures = {dataset.failure("x").parent, dataset.in_work("recording", "x").parent}
    made = [
        path
        for folder in (dataset.artifacts, dataset.root / "manifests")
        for path in folder.rglob("*")
        if path.is_file() and not about_failures & {*path.parents} and path != dataset.lock
    ]
    return {str(path.relative_to(dataset.root)): path.stat().st_mtime_ns for path in made}


def failed_lines(output: str) -> dict[str, str]:
    """Returns recording -> error, from what the command printed."""
    lines = [line for line in output.splitlines() if line.startswith("failed  ")]
    return {line.split("  ")[1]: line.split("  ", 2)[2] for line in lines}


@pytest.mark.slow
def test_bad_recordings_fail_alone_and_a_rerun_touches_only_them(badc, many_recordings, history):
    root, bad = many_recordings
    done = badc("run", root)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "195 of 200 recordings complete, 5 failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

    dataset = Dataset.open(root)
    registry = read_registry(dataset.registry)
    failed = failed_lines(done.stdout)
    assert failed.keys() == bad.keys()
    for recording_id, words in bad.items():
        assert words in failed[recording_id].lower(), failed[recording_id]
    assert len(done.stdout.splitlines()) < 60
    assert {one: note.error for one, note in read_failures(dataset).items()} == failed

    good = [one for one in registry.ids if one not in bad]
    assert len(good) == 195
    for recording_id in good:
        assert dataset.bundle(recording_id).html.stat().st_size > 0
        assert pq.read_schema(dataset.detections(recording_id)).names
        effort = pq.read_table(dataset.effort(recording_id))
        assert effort.num_rows > 0
        assert pc.min(effort["effort_s"]).as_py() > 0, recording_id
    n_detections = sum(pq.read_metadata(dataset.detections(one)).num_rows for one in good)
    assert n_detections > 100
    for recording_id in bad:
        assert not dataset.detections(recording_id).exists()
        assert not dataset.effort(recording_id).exists()

    assert registry.by_path[HOSTILE].recording_id in good
    assert {"S1__20230501_050000", "S2__20230501_050000"} <= set(good)
    assert "veryshort" in good
    assert history() == dict.fromkeys(STAGES, 195)

    before = artefacts(dataset)
    again = badc("run", root)
    assert again.returncode == 1
    assert failed_lines(again.stdout) == failed
    assert artefacts(dataset) == before
    assert history() == dict.fromkeys(STAGES, 195)

    shutil.copyfile(root / "audio" / "S0" / "rec_000.wav", root / "audio" / "S3" / "truncated.wav")
    repaired = badc("run", root)
    assert repaired.returncode == 1
    assert "196 of 200 recordings complete, 4 failed" in repaired.stdout
    assert failed_lines(repaired.stdout).keys() == bad.keys() - {"truncated"}
    assert history() == dict.fromkeys(STAGES, 196)
    changed = {path for path, time_ns in artefacts(dataset).items() if before.get(path) != time_ns}
    strangers = [
        path
        for path in changed
        if "truncated" not in path and not path.startswith(("artifacts/corpus/", "artifacts/tel"))
    ]
    assert strangers == []
    assert made_all(dataset, registry.ids, bad.keys() - {"truncated"})


def made_all(dataset: Dataset, ids, failed) -> bool:
    """Tells whether every recording has a fingerprint of its report, but for the failed ones."""
    with open_instance() as instance:
        key = connection_key(Connection("", dataset.root), STAGES[-1])
        return set(recorded_fingerprints(instance, key)) == set(ids) - set(failed)
