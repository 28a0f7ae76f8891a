"""Recordings of which five are bad: the others complete, and a rerun touches only the five."""

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import read_registry
from badc_core.stages.stage import STAGES
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.home import open_instance
from badc_dagster.partitions import asset_key

HOSTILE = "audio/Sambaa K'e é/dawn chorus.wav"


@pytest.fixture
def history(tmp_path, monkeypatch):
    """Tells how often which asset was materialised, from the home the command used."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))

    def count() -> dict[str, int]:
        with open_instance() as instance:
            keys = [asset_key(Connection("any", Path(), is_main=True), one) for one in STAGES]
            records = {key: instance.fetch_materializations(key, limit=1000) for key in keys}
        return {key.path[-1]: len(found.records) for key, found in records.items()}

    return count


def artefacts(dataset: Dataset) -> dict[str, int]:
    """Returns path -> time of last change of everything made, but what is about failures."""
    about_failures = {dataset.failure("x").parent}
    made = [
        path
        for folder in (dataset.artifacts, dataset.root / "manifests")
        for path in folder.rglob("*")
        if path.is_file() and not about_failures & {*path.parents}
    ]
    return {str(path.relative_to(dataset.root)): path.stat().st_mtime_ns for path in made}


def failed_lines(output: str) -> dict[str, str]:
    """Returns recording -> error, from what the command printed."""
    lines = [line for line in output.splitlines() if line.startswith("failed  ")]
    return {line.split("  ")[1]: line.split("  ", 2)[2] for line in lines}


def make_recordings(folder: Path, field_audio: Path, n: int) -> dict[str, str]:
    """Fills `folder/audio` with `n` recordings, at least 10, of which five are bad.

    Returns:
        name of the bad file -> words its error must hold.
    """
    sources = [field_audio / name for name in ("aru_1.wav", "aru_2.wav", "aru_3.wav")]
    audio = folder / "audio"
    good = [audio / f"S{number % 7}" / f"rec_{number:03d}.wav" for number in range(n - 9)]
    good += [audio / "S1" / "20230501_050000.wav", audio / "S2" / "20230501_050000.wav"]
    good += [audio / "Sambaa K'e é" / "dawn chorus.wav"]
    for number, path in enumerate(good):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources[number % 3], path)
    shutil.copyfile(field_audio / "veryshort.wav", audio / "S1" / "veryshort.wav")
    return _make_bad_recordings(audio / "S3", sources[0].read_bytes())


def _make_bad_recordings(folder: Path, whole: bytes) -> dict[str, str]:
    size_at = whole.index(b"data") + 4
    claims_less = whole[:size_at] + (1000).to_bytes(4, "little") + whole[size_at + 4 :]
    folder.mkdir(exist_ok=True)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.wav").write_text("Rain from 5 a.m., recorder moved to the other pole.\n" * 20)
    (folder / "lying_header.wav").write_bytes(claims_less)
    (folder / "forbidden.wav").write_bytes(whole)
    (folder / "forbidden.wav").chmod(0)
    return {
        "empty": "empty",
        "truncated": "truncated",
        "notes": "not",
        "lying_header": "header",
        "forbidden": "permission",
    }


@pytest.mark.soak
@pytest.mark.parametrize("n", [50])
def test_bad_recordings_fail_alone_and_a_rerun_touches_only_them(
    badc, tmp_path, field_audio, history, n
):
    root = tmp_path / "many"
    bad = make_recordings(root, field_audio, n)
    (root / "badc.toml").write_text("[report]\ntop_detections = 1\n", encoding="utf-8")
    done = badc("run", root)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{n - 5} of {n} recordings complete, 5 failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

    dataset = Dataset.open(root)
    registry = read_registry(dataset.registry)
    failed = failed_lines(done.stderr)
    assert failed.keys() == bad.keys()
    for recording_id, words in bad.items():
        assert words in failed[recording_id].lower(), failed[recording_id]
    assert len(done.stdout.splitlines()) < 60
    assert {one: note.error for one, note in read_failures(dataset).items()} == failed

    good = [one for one in registry.ids if one not in bad]
    assert len(good) == n - 5
    for recording_id in good:
        assert dataset.bundle(recording_id).html.stat().st_size > 0
        assert pq.read_schema(dataset.detections(recording_id)).names
        effort = pq.read_table(dataset.effort(recording_id))
        assert effort.num_rows > 0
        assert pc.min(effort["effort_s"]).as_py() > 0, recording_id
    n_detections = sum(pq.read_metadata(dataset.detections(one)).num_rows for one in good)
    assert n_detections >= n / 2
    for recording_id in bad:
        assert not dataset.detections(recording_id).exists()
        assert not dataset.effort(recording_id).exists()

    assert registry.by_path[HOSTILE].recording_id in good
    assert {"S1__20230501_050000", "S2__20230501_050000"} <= set(good)
    assert "veryshort" in good
    assert history() == dict.fromkeys(STAGES, n - 5)

    before = artefacts(dataset)
    shutil.copyfile(root / "audio" / "S0" / "rec_000.wav", root / "audio" / "S3" / "truncated.wav")
    repaired = badc("run", root)
    assert repaired.returncode == 1
    assert f"{n - 4} of {n} recordings complete, 4 failed" in repaired.stdout
    assert failed_lines(repaired.stderr) == {
        one: why for one, why in failed.items() if one != "truncated"
    }
    assert history() == dict.fromkeys(STAGES, n - 4)
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
        key = asset_key(Connection("any", dataset.root, is_main=True), list(STAGES)[-1])
        return set(recorded_fingerprints(instance, key)) == set(ids) - set(failed)
