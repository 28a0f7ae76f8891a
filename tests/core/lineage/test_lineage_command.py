"""`badc data lineage FILE`: where what a file says came from."""

import json
import shutil
from pathlib import Path

import pytest
from support.archives import run_in
from support.built_once import build_once
from support.commands import run_typed
from support.finished_dataset import BROKEN, MARSH_1, copy_finished
from typer import Typer

from badc_core.cli.chunk import chunk
from badc_core.cli.infer import infer
from badc_core.cli.lineage import lineage
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import sha256_file
from badc_core.lineage.named_file import name_result_file
from badc_core.lineage.tracing import trace
from badc_core.provenance.records import RunRecord

_COMMAND = ("badc", "redo", "report_bundle", "--", MARSH_1)


@pytest.fixture(scope="session")
def committed(tmp_path_factory) -> Path:
    """Returns a dataset with a corpus in a git repository, its reports committed with a record."""

    def build(folder: Path) -> None:
        dataset = copy_finished(tmp_path_factory, folder)
        page = dataset.bundle(MARSH_1).html.relative_to(folder).as_posix()
        run_in(folder, "git", "init", "--quiet")
        run_in(folder, "git", "add", ".", f":(exclude){page}")
        run_in(folder, "git", "commit", "--quiet", "-m", "Everything else")
        run_in(folder, "git", "add", page)
        record = RunRecord("Report", (_COMMAND,), outputs=(page,)).render()
        run_in(folder, "git", "commit", "--quiet", "-m", record)

    return build_once(tmp_path_factory, "lineage-dataset", build)


@pytest.fixture
def own(committed, tmp_path) -> Dataset:
    shutil.copytree(committed, tmp_path / "own", symlinks=True)
    return Dataset.open(tmp_path / "own")


def shown(path: Path, code: int = 0) -> str:
    app = Typer()
    app.command()(lineage)
    return run_typed(app, path, code=code).output


def traced(path: Path) -> dict:
    app = Typer()
    app.command()(lineage)
    return json.loads(run_typed(app, path, "--json").stdout)


def test_a_report_page_is_traced_to_the_sound_the_model_and_the_commit(committed):
    dataset = Dataset.open(committed)
    text = shown(dataset.bundle(MARSH_1).html)
    sound = dataset.audio(f"audio/MARSH/{MARSH_1}.wav")
    for part in (
        f"report page of {MARSH_1}",
        f"audio/MARSH/{MARSH_1}.wav",
        sha256_file(sound),
        sha256_file(dataset.bundle(MARSH_1).html),
        "MARSH, 2024-06-01 05:30:00 America/Edmonton",
        "Detector: band_energy",
        "min_score 0.25",
        "config_hash",
        "A Tester",
        "Report",
        f"made by: cd {committed} && badc redo report_bundle -- {MARSH_1}",
        f"again: cd {committed} && datalad rerun",
    ):
        assert part in text, part
    assert len(text.splitlines()) <= 30
    found = traced(dataset.bundle(MARSH_1).html)
    stages = ["recording", "chunk_manifest", "raw_detections", "detections", "report_bundle"]
    assert [one["name"] for one in found["steps"]] == stages
    assert {one["state"] for one in found["steps"]} == {"as written"}
    assert [one["fingerprint"] for one in found["steps"]] == [f"fingerprint-of-{s}" for s in stages]
    assert {one["commit"]["subject"] for one in found["steps"]} == {"Everything else", "Report"}


@pytest.mark.parametrize(
    ("find", "last"),
    [
        (lambda dataset: dataset.detections(MARSH_1), "detections"),
        (lambda dataset: dataset.effort(MARSH_1), "detections"),
        (lambda dataset: dataset.raw_detections(MARSH_1), "raw_detections"),
        (lambda dataset: dataset.manifest(MARSH_1), "chunk_manifest"),
        (lambda dataset: dataset.recording(MARSH_1), "recording"),
        (lambda dataset: dataset.bundle(MARSH_1).duckdb, "report_bundle"),
        (lambda dataset: dataset.bundle(MARSH_1).quicklook / "labels.csv", "report_bundle"),
        (lambda dataset: dataset.audio(f"audio/MARSH/{MARSH_1}.wav"), "report_bundle"),
    ],
)
def test_every_file_about_a_recording_is_traced(committed, find, last):
    dataset = Dataset.open(committed)
    found = traced(find(dataset))
    assert found["registered"]["recording_id"] == MARSH_1
    assert found["steps"][-1]["name"] == last
    assert found["unknown"] == []
    if last not in {"recording", "chunk_manifest"}:
        assert found["detectors"][0]["settings"]["min_score"] == 0.25


def test_the_corpus_is_traced_to_its_detectors(committed):
    dataset = Dataset.open(committed)
    for path in (dataset.corpus.duckdb, dataset.corpus.html, *dataset.corpus.summary.iterdir()):
        found = traced(path)
        assert found["n_recordings"] == 3
        assert [one["name"] for one in found["detectors"]] == ["band_energy"]
        assert found["steps"]


def test_every_file_that_commands_write_by_hand_is_traced(own):
    cut = ("--apply", "--chunk-duration", "3", "--manifest-dir", "by_hand")
    run_typed(chunk, "orchestrate", own.root, *cut, code=1)
    detected = ("--apply", "--manifest-dir", "by_hand", "--bundle", "--bundle-rollup")
    detected += ("--bundle-aggregate-dir", "artifacts/aggregate/by_hand")
    run_typed(infer, "orchestrate", own.root, *detected)
    table = own.aggregate / "summary.parquet"
    gathered = ("--output", table.with_suffix(".csv"), "--parquet", table)
    run_typed(infer, "aggregate", own.inference.folder, *gathered)
    written = [path for path in own.artifacts.rglob("*") if path.is_file()]
    expected = {"label_summary.csv", f"{MARSH_1}.jsonl.summary.json.workers.csv"}
    assert expected <= {path.name for path in written}
    for path in (own.manifest(MARSH_1), *written):
        assert ".badc" in path.parts or name_result_file(path).what, path
    assert [one["name"] for one in traced(table)["detectors"]] == ["band_energy"]
    log = own.telemetry(MARSH_1)
    assert "telemetry: what runs measured" in shown(log)
    (plan,) = (own.root / "by_hand").glob(f"{MARSH_1}.csv")
    with pytest.raises(DatasetInvalid, match="known to have written"):
        trace(plan)
    run_in(own.root, "git", "add", "by_hand")
    record = RunRecord("Cut", (("badc", "chunk", "run", "{a}.wav"),), outputs=("by_hand",))
    run_in(own.root, "git", "commit", "--quiet", "-m", record.render())
    assert f"made by: cd {own.root} && badc chunk run '{{a}}.wav'" in shown(plan)


def test_what_was_changed_or_is_not_known_is_said(own):
    page = own.bundle(MARSH_1).html
    page.write_text(page.read_text(encoding="utf-8") + " ", encoding="utf-8")
    found = traced(page)
    assert found["steps"][-1]["state"] == "changed since"
    assert found["commit"] is None
    assert "none that has this file as it is" in shown(page)
    own.detections(MARSH_1).unlink()
    own.detections(MARSH_1).symlink_to("../../.git/annex/objects/aa/bb/SHA256E-s1--c/SHA256E-s1--c")
    found = traced(page)
    assert {one["name"]: one["state"] for one in found["steps"]}["detections"] == "content not here"
    assert "datalad get" in found["unknown"][0]
    found = traced(own.audio(f"audio/BROKEN/{BROKEN}.wav"))
    assert (found["recording"], found["steps"]) == (None, [])
    assert any("not been described" in one for one in found["unknown"])


def test_other_files_are_refused_with_a_reason(own, tmp_path):
    app = Typer()
    app.command()(lineage)
    (tmp_path / "elsewhere.csv").touch()
    for path, why in (
        (tmp_path / "elsewhere.csv", "it is in no dataset"),
        (own.root / "badc.toml", "nor a file that BADC is known to have written"),
        (own.root / "nothing.csv", "there is no such file"),
    ):
        with pytest.raises(DatasetInvalid, match=why):
            run_typed(app, path)
