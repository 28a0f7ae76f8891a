"""Recordings whose content is only in a store: fetched for a step, named, dropped after."""

import os
import shlex
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from support.archives import checksums, copy_archive, make_archive, run_in
from support.built_once import build_once
from support.commands import run_typed
from support.sounds import write_tone

from badc_core.annexed_files import lacks_content
from badc_core.cli.app import build_app
from badc_core.datasets.connections import connect
from badc_core.datasets.dataset import Dataset
from badc_core.inference.detect import detect_recordings
from badc_core.outcomes import Outcome
from badc_core.recordings.registry import read_registry, register_recordings
from badc_core.stages.describing import describe_recordings
from badc_core.stages.step_inputs import StepInputs
from badc_core.steps import inputs_from_files, write_manifests
from badc_core.telemetry.log import TelemetryLog
from badc_dagster.definitions import build_defs
from badc_dagster.home import open_instance
from badc_dagster.partitions import asset_key, range_tags
from badc_dagster.sensors import Cursor, evaluate

QUICK = '[detector]\nname = "band_energy"\nmin_score = 0.1\n'
DROPS = f"{QUICK}[datalad]\ndrop_after = true\n"
N_RECORDINGS = 2


def _lay_out(folder: Path) -> None:
    sounds = [
        (f"audio/S1/rec {number}.wav", write_tone(folder / "sound.wav", 3.0, number).read_bytes())
        for number in range(N_RECORDINGS)
    ]
    (folder / "sound.wav").unlink()
    make_archive(folder, sounds)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    return build_once(tmp_path_factory, "annexed-recordings", _lay_out)


@pytest.fixture
def archive(built, home, tmp_path) -> Path:
    """Returns a dataset whose recordings are only in its store."""
    archive = copy_archive(built, tmp_path / "copy")
    (archive / "badc.toml").write_text(QUICK, encoding="utf-8")
    return archive


def sounds_of(archive: Path) -> list[Path]:
    return sorted((archive / "audio/S1").iterdir())


def test_the_sensor_registers_what_is_only_in_the_store_once(archive):
    connection = connect(Path(os.environ["DAGSTER_HOME"]), archive)
    with open_instance() as instance:
        ticks = [
            evaluate(instance, connection, Dataset.open(archive), "", time.time) for _ in range(2)
        ]
    assert all(map(lacks_content, sounds_of(archive)))
    assert len(read_registry(archive / "recordings.csv")) == N_RECORDINGS
    assert all(Cursor.parse(tick.cursor).sizes == {} for tick in ticks)


def lose(archive: Path, path: Path) -> None:
    """Removes a content from the store."""
    key = path.readlink().name
    (stored,) = (archive.parent / "store").rglob(f"{key}/{key}")
    stored.parent.chmod(0o755)
    stored.unlink()


@pytest.mark.soak
def test_with_drop_after_only_what_was_fetched_is_dropped_and_nothing_is_due_then(archive):
    (archive / "badc.toml").write_text(DROPS, encoding="utf-8")
    kept, *others = sounds_of(archive)
    run_in(archive, "git", "annex", "get", "--quiet", str(kept.relative_to(archive)))
    before = checksums(archive)
    run_typed(build_app(), "run", archive)
    assert not lacks_content(kept)
    assert all(map(lacks_content, others))
    assert before.items() <= checksums(archive).items()
    assert not list((archive / ".badc/fetched").iterdir())
    registry = (archive / "recordings.csv").read_bytes()
    again = run_typed(build_app(), "run", archive)
    assert "Nothing to do" in again.stdout
    assert (archive / "recordings.csv").read_bytes() == registry
    assert all(one.fingerprint for one in read_registry(archive / "recordings.csv"))


@pytest.mark.soak
def test_a_content_that_cannot_be_fetched_fails_its_recording_alone(archive):
    *others, lost = sounds_of(archive)
    lose(archive, lost)
    done = run_typed(build_app(), "run", archive, code=1)
    assert f"{N_RECORDINGS - 1} of {N_RECORDINGS} recordings complete, 1 failed" in done.stdout
    said = " ".join(done.stderr.split())
    assert "could not be fetched" in said
    assert f"datalad get {shlex.quote(str(lost))}".replace(" ", "") in said.replace(" ", "")
    assert not any(map(lacks_content, others))


def test_a_sound_is_dropped_while_its_result_waits_for_a_commit(archive, tmp_path):
    (archive / "badc.toml").write_text(DROPS, encoding="utf-8")
    dataset = Dataset.open(archive)
    ids = register_recordings(dataset).registry.ids

    def inputs(stage: str) -> StepInputs:
        return inputs_from_files(dataset, stage, ids, "run")

    def finish(outcomes: Generator[Outcome[Any], None, None]) -> None:
        waiting = [next(outcomes) for _ in ids]
        until_s = time.monotonic() + 60
        while not all(map(lacks_content, sounds_of(archive))) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert all(map(lacks_content, sounds_of(archive)))
        assert not list(outcomes)
        for outcome in waiting:
            outcome.require()
            outcome.commit()

    finish(describe_recordings(inputs("recording")))
    finish(write_manifests(inputs("chunk_manifest")))
    with TelemetryLog(tmp_path / "telemetry.jsonl") as telemetry:
        finish(detect_recordings(inputs("raw_detections"), telemetry))


@pytest.mark.soak
def test_a_step_of_an_asset_alone_drops_as_it_goes(archive):
    (archive / "badc.toml").write_text(DROPS, encoding="utf-8")
    run_typed(build_app(), "scan", archive)
    connection = connect(Path(os.environ["DAGSTER_HOME"]), archive)
    ids = read_registry(archive / "recordings.csv").ids
    instance = open_instance()
    job = build_defs([connection]).resolve_job_def(connection.scoped("pipeline_job"))
    for stage in ("recording", "chunk_manifest", "raw_detections"):
        result = job.execute_in_process(
            instance=instance,
            tags=range_tags(ids),
            asset_selection=[asset_key(connection, stage)],
        )
        assert result.success
        assert all(map(lacks_content, sounds_of(archive)))
    instance.dispose()
    assert all(Dataset.open(archive).raw_detections(one).exists() for one in ids)


def test_saved_results_in_a_clone_are_fetched_and_selected_from_without_the_sound(archive):
    (archive / "badc.toml").write_text(f'{QUICK}[datalad]\nrecord = "off"\n', encoding="utf-8")
    run_typed(build_app(), "run", archive)
    results = ("artifacts", "manifests", "recordings.csv")
    run_in(archive, "git", "annex", "add", "--quiet", "--force-large", *results)
    run_in(archive, "git", "commit", "--quiet", "-m", "Save results")
    run_in(archive, "git", "annex", "move", "--quiet", "--to", "store", ".")
    table = archive / "recordings.csv"
    assert lacks_content(table)
    shutil.rmtree(archive / ".badc")
    (archive / "badc.toml").unlink()
    (archive / "badc.toml").write_text(QUICK.replace("0.1", "0.5"), encoding="utf-8")
    done = run_typed(build_app(), "run", archive)
    assert f"{N_RECORDINGS} of {N_RECORDINGS} recordings complete, 0 failed" in done.stdout
    assert not lacks_content(table)
