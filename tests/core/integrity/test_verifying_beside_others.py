"""Verifying while a run works on the dataset, and what others than the asset graph wrote there."""

import json

import pytest
from support.commands import run_badc
from support.finished_dataset import MARSH_1, MARSH_2, copy_finished
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.integrity import comparing
from badc_core.integrity.marking import mark_findings
from badc_core.integrity.verifying import verify_dataset
from badc_core.recordings.failures import read_failures
from badc_core.stages.fingerprint_files import store_fingerprint
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work

RAW = "raw_detections"


@pytest.fixture
def dataset(tmp_path_factory, tmp_path) -> Dataset:
    return copy_finished(tmp_path_factory, tmp_path / "dataset")


@pytest.fixture
def while_comparing(monkeypatch):
    """Has something happen once, after the first file of fingerprints has been read."""

    def arrange(happen):
        left = [happen]
        read = comparing.read_stored

        def read_then(path, about):
            stored = read(path, about)
            if left:
                left.pop()()
            return stored

        # The one moment between two reads that no other process can be made to hit.
        monkeypatch.setattr(comparing, "read_stored", read_then)

    return arrange


def marked(dataset: Dataset) -> dict[str, set[str]]:
    work = Work(dataset.work_folder)
    return {stage: dirty for stage in STAGES if (dirty := work.dirty(stage))}


def make_anew(dataset: Dataset, recording_id: str) -> None:
    """Replaces raw detections as a run does that has other settings."""
    begun = Work(dataset.work_folder).begin(RAW, recording_id)
    dataset.raw_detections(recording_id).write_bytes(b"made anew")
    store_fingerprint(dataset, RAW, recording_id, "other settings")
    begun.commit()


def test_what_a_run_makes_anew_meanwhile_is_not_damaged(dataset, while_comparing):
    while_comparing(lambda: make_anew(dataset, MARSH_1))
    report = verify_dataset(dataset, [MARSH_1])
    assert report.findings == []
    assert marked(dataset) == {}
    assert dataset.raw_detections(MARSH_1).read_bytes() == b"made anew"
    assert MARSH_1 not in read_failures(dataset)


def test_what_a_run_has_begun_meanwhile_is_left_to_it(dataset, while_comparing):
    begun = []

    def begin():
        begun.append(Work(dataset.work_folder).begin(RAW, MARSH_1))
        dataset.raw_detections(MARSH_1).write_bytes(b"its fingerprint comes later")

    while_comparing(begin)
    assert verify_dataset(dataset, [MARSH_1]).findings == []
    assert dataset.raw_detections(MARSH_1).exists()
    begun[0].commit()
    assert marked(dataset) == {}


def test_what_a_run_repaired_before_the_marking_is_not_marked(dataset):
    for one in (MARSH_1, MARSH_2):
        dataset.raw_detections(one).write_bytes(b"rubbish")
    findings = verify_dataset(dataset, mark=False).findings
    assert len(findings) == 2
    make_anew(dataset, MARSH_1)
    begun = Work(dataset.work_folder).begin(RAW, MARSH_2)
    assert mark_findings(dataset, findings) == []
    begun.commit()
    assert marked(dataset) == {}
    assert dataset.raw_detections(MARSH_2).exists()
    (still,) = mark_findings(dataset, findings)
    assert still.recording_id == MARSH_2
    assert marked(dataset) == {RAW: {MARSH_2}}
    assert not dataset.raw_detections(MARSH_2).exists()
    assert read_failures(dataset)[MARSH_2].stage == RAW


def test_a_corpus_that_is_being_written_is_left_alone(dataset):
    part = next(dataset.corpus.table("detections").rglob("*.parquet"))
    part.write_bytes(b"half")
    with Work(dataset.work_folder).writing_corpus():
        assert verify_dataset(dataset).findings == []
    assert [one.stage for one in verify_dataset(dataset).findings] == ["corpus_detections"]
    assert not part.exists()


def test_tables_and_manifests_made_by_hand_are_not_judged(tmp_path):
    root = tmp_path / "dataset"
    write_tone(root / "audio" / f"{MARSH_1}.wav", 10.0, 1)
    run_badc("chunk", "orchestrate", root, "--chunk-duration", 5, "--apply", folder=tmp_path)
    words = ("infer", "orchestrate", root, "--stub-runner", "--apply", "--bundle")
    run_badc(*words, folder=tmp_path)
    dataset = Dataset.open(root)
    assert dataset.detections(MARSH_1).exists()
    done = json.loads(run_badc("verify", root, "--json", folder=tmp_path).stdout)
    assert (done["findings"], done["n_unknown"]) == ([], 2)
    assert marked(dataset) == {}


def test_a_manifest_that_was_replaced_by_hand_is_not_damaged(dataset, tmp_path):
    words = ("--pattern", "audio/MARSH/*", "--chunk-duration", 5, "--apply")
    run_badc("chunk", "orchestrate", dataset.root, *words, folder=tmp_path)
    report = verify_dataset(dataset)
    assert (report.findings, report.n_unknown) == ([], 2 + 2)
    dataset.fingerprints(MARSH_1).unlink()
    assert verify_dataset(dataset, [MARSH_1]).findings == []


def test_a_recording_that_is_gone_is_found_unless_its_sound_has_another_name(dataset):
    path = dataset.audio(f"audio/MARSH/{MARSH_1}.wav")
    kept = path.rename(dataset.root / "kept.wav")
    (finding,) = verify_dataset(dataset, [MARSH_1]).findings
    assert (finding.path, finding.what) == (f"audio/MARSH/{MARSH_1}.wav", "it is gone")
    assert marked(dataset) == {}
    path.symlink_to("/a disk that is not mounted/x.wav")
    assert verify_dataset(dataset, [MARSH_1]).n_elsewhere == 1
    path.unlink()
    # A copy that was registered under a name of its own.
    copy = dataset.root / "audio" / "RIDGE" / "20240601_053001.wav"
    kept.rename(copy)
    rows = dataset.registry.read_text(encoding="utf-8").splitlines()
    (row,) = [one for one in rows if one.startswith(f"{MARSH_1},")]
    other = row.replace(MARSH_1, copy.stem).replace("MARSH", "RIDGE")
    dataset.registry.write_text("\n".join([*rows, other]) + "\n", encoding="utf-8")
    assert verify_dataset(dataset, [MARSH_1]).findings == []


def test_the_kind_of_fingerprint_may_change(dataset):
    settings = dataset.root / "badc.toml"
    text = settings.read_text(encoding="utf-8")
    full = text.replace("[recordings]\n", '[recordings]\nfingerprint = "full"\n')
    settings.write_text(full, encoding="utf-8")
    changed = Dataset.open(dataset.root)
    assert verify_dataset(changed).findings == []
    path = dataset.audio(f"audio/MARSH/{MARSH_1}.wav")
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    (finding,) = verify_dataset(changed).findings
    assert finding.what == "its content is not what the last scan saw"
