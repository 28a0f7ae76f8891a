"""What a detector's program writes, kept beside the JSON files of chunks where there are any."""

import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.built_once import build_once
from support.detecting import cut_recordings, detect_and_select
from support.telemetry import read_events

from badc_core.chunks.plan import Chunk
from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.detections.store import read_detections
from badc_core.engine.protocol import ChunkTask, task_from_json, task_to_json
from badc_core.inference.aggregation import AggregationRequest, aggregate_chunks
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.manifest_runs import run_manifest
from badc_core.inference.run_spec import RunSpec
from badc_core.telemetry.log import TelemetryLog

RATE_HZ = 16_000
CHUNKS = tuple(f"R_chunk_{2000 * n}_{2000 * n + 2000}" for n in range(3))

_PROGRAM = """
import json, os, sys
from pathlib import Path

here = Path(__file__).parent
chunk = Path(sys.argv[sys.argv.index("--input") + 1])
output = Path(sys.argv[sys.argv.index("--output") + 1])
found = [{"timestamp_ms": 100, "end_ms": 900, "label": "Res", "confidence": 0.9}]
output.write_text(json.dumps({"detections": found}))
(output.parent / "spectra" / "deep").mkdir(parents=True)
(output.parent / "spectra" / "deep" / "a b.json").write_text("neither JSON nor ours")
(output.parent / "say.txt").write_text((here / "say").read_text())
if chunk.stem in (here / "piped").read_text().split():
    os.mkfifo(output.parent / "pipe")
if chunk.stem in (here / "poisoned").read_text().split():
    sys.exit("poison")
if (here / "longest").exists() and chunk.stat().st_size > int((here / "longest").read_text()):
    sys.exit("out of memory")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Returns the folder of a program that writes more than it is asked for."""
    return write_program(tmp_path)


def write_program(place: Path) -> Path:
    folder = place / "pro gram"
    folder.mkdir()
    (folder / "detector.py").write_text(_PROGRAM)
    (folder / "poisoned").write_text("")
    (folder / "piped").write_text("")
    (folder / "say").write_text("first")
    return folder


def lay_out(root: Path, program: Path, chunk_s: float) -> Dataset:
    """Returns a dataset of one recording in three chunks, which asks for files of chunks."""
    (root / "audio").mkdir(parents=True)
    noise = np.random.default_rng(1).normal(0, 0.05, int(3 * chunk_s * RATE_HZ))
    sf.write(root / "audio" / "R.wav", noise, RATE_HZ)
    command = shlex.join([sys.executable, str(program / "detector.py")])
    dataset = Dataset.open(
        root,
        {
            "chunks": {"duration_s": chunk_s, "min_chunk_s": 1.0},
            "detector": {"name": "command", "command": command},
            "inference": {
                "cpu_workers": 1,
                "max_retries": 0,
                "chunk_json": True,
                "max_failed_fraction": 0.5,
            },
        },
    )
    cut_recordings(dataset)
    return dataset


def order_of(dataset: Dataset, folder: Path) -> RunSpec:
    return RunSpec(
        (dataset.manifest("R"),),
        dataset.settings,
        InferencePaths(folder / "out"),
        folder / "telemetry" / "one.jsonl",
        dataset,
    )


@pytest.fixture
def dataset(tmp_path: Path, program: Path) -> Dataset:
    return lay_out(tmp_path / "l'été; $HOME", program, chunk_s=2.0)


@pytest.fixture
def order(dataset: Dataset, tmp_path: Path) -> RunSpec:
    return order_of(dataset, tmp_path)


@pytest.fixture(scope="session")
def found(tmp_path_factory) -> Path:
    """Returns what a run over manifests has written, for those that gather it."""

    def build(folder: Path) -> None:
        order = order_of(lay_out(folder / "dataset", write_program(folder), chunk_s=2.0), folder)
        run_manifest(ManifestRun(order))

    return build_once(tmp_path_factory, "runner-files", build) / "out"


@pytest.fixture
def out(found: Path, tmp_path: Path) -> InferencePaths:
    """Returns a copy of it."""
    return InferencePaths(Path(shutil.copytree(found, tmp_path / "out")))


def detect(dataset: Dataset) -> None:
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        (outcome,) = detect_and_select(dataset, ["R"], telemetry)
    assert outcome.error is None


def kept(paths: InferencePaths) -> dict[str, list[str]]:
    """Returns each chunk's folder with the files in it."""
    return {
        folder.name: sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
        for folder in paths.recording("R").iterdir()
        if folder.is_dir()
    }


def wanted(*chunk_ids: str) -> dict[str, list[str]]:
    return {
        f"{one}_runner": [f"{one}.json", "say.txt", "spectra/deep/a b.json"] for one in chunk_ids
    }


def test_a_run_over_manifests_keeps_them_beside_each_chunks_file(order: RunSpec) -> None:
    assert not run_manifest(ManifestRun(order)).failed
    assert kept(order.output) == wanted(*CHUNKS)
    names = {path.name for path in order.output.recording("R").iterdir()}
    assert names == {*wanted(*CHUNKS), *(f"{one}.json" for one in CHUNKS)}


def test_a_dataset_keeps_them_where_files_of_chunks_are_asked_for(dataset: Dataset) -> None:
    detect(dataset)
    assert kept(dataset.inference) == wanted(*CHUNKS)


def test_nobody_asked_nothing_is_kept(dataset: Dataset) -> None:
    inference = dataset.settings.inference.model_copy(update={"chunk_json": False})
    detect(replace(dataset, settings=dataset.settings.model_copy(update={"inference": inference})))
    assert not dataset.inference.recording("R").exists()


def test_a_chunk_that_failed_leaves_what_an_earlier_run_kept(order: RunSpec, program: Path) -> None:
    (program / "poisoned").write_text(CHUNKS[1])
    run_manifest(ManifestRun(order))
    assert kept(order.output) == wanted(CHUNKS[0], CHUNKS[2])
    (program / "poisoned").write_text("")
    run_manifest(ManifestRun(order))
    (program / "poisoned").write_text(CHUNKS[1])
    (program / "say").write_text("second")
    run_manifest(ManifestRun(replace(order, resume=False)))
    said = [order.output.recording("R") / f"{one}_runner" / "say.txt" for one in CHUNKS]
    assert [path.read_text() for path in said] == ["second", "first", "second"]


def test_what_is_taken_from_a_journal_keeps_its_files(order: RunSpec, program: Path) -> None:
    run_manifest(ManifestRun(order))
    (program / "say").write_text("second")
    assert run_manifest(ManifestRun(order)).n_skipped == 3
    assert kept(order.output) == wanted(*CHUNKS)


def test_gathering_leaves_them_out_and_finds_what_the_chunks_files_say(
    out: InferencePaths, tmp_path: Path
) -> None:
    made = aggregate_chunks(
        AggregationRequest(out.folder, tmp_path / "a.csv", tmp_path / "a.parquet")
    )
    assert (made.n_files, made.n_detections) == (3, 3)
    assert set(read_detections(tmp_path / "a.parquet")["label"].to_pylist()) == {"Res"}


def lose(out: InferencePaths, chunk_id: str) -> None:
    """Leaves a chunk as a run does that is killed before it can write the chunk's JSON file."""
    out.chunk_json("R", chunk_id).unlink()


@pytest.mark.parametrize("ending", ["_runner", "_hawkears"])
def test_gathering_leaves_them_out_where_a_killed_run_left_no_file_of_the_chunk(
    out: InferencePaths, tmp_path: Path, ending: str
) -> None:
    lose(out, CHUNKS[1])
    raw = out.recording("R") / f"{CHUNKS[1]}_runner"
    raw.rename(raw.with_name(f"{CHUNKS[1]}{ending}"))
    made = aggregate_chunks(AggregationRequest(out.folder, tmp_path / "a.csv"))
    assert (made.n_files, made.n_detections) == (2, 2)
    for one in (CHUNKS[0], CHUNKS[2]):
        lose(out, one)
    assert aggregate_chunks(AggregationRequest(out.folder, tmp_path / "a.csv")).n_files == 0


def test_a_program_may_say_whose_chunk_its_files_are_about(
    out: InferencePaths, tmp_path: Path
) -> None:
    lose(out, CHUNKS[1])
    raw = out.recording("R") / f"{CHUNKS[1]}_runner"
    said = {"chunk_id": CHUNKS[1], "recording_id": "R", "detections": []}
    (raw / f"{CHUNKS[1]}.json").write_text(json.dumps(said))
    assert aggregate_chunks(AggregationRequest(out.folder, tmp_path / "a.csv")).n_files == 2


@pytest.mark.parametrize("name", ["R_runner", "out_hawkears/R", "out_hawkears/deeper/R"])
def test_folders_of_chunks_may_be_called_as_a_runners_is(
    out: InferencePaths, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "all" / name
    folder.parent.mkdir(parents=True)
    out.recording("R").rename(folder)
    assert aggregate_chunks(AggregationRequest(tmp_path / "all", tmp_path / "a.csv")).n_files == 3


def choose(order: RunSpec, **detector: str) -> RunSpec:
    """Returns an order for another detector."""
    made = order.settings.detector.model_copy(update=detector)
    settings = order.settings.model_copy(update={"detector": made})
    dataset = replace(order.dataset, settings=settings)
    return replace(order, settings=settings, dataset=dataset)


def test_another_detectors_result_leaves_no_files_of_the_one_before(order: RunSpec) -> None:
    run_manifest(ManifestRun(order))
    foreign = order.output.recording("R") / f"{CHUNKS[0]}_hawkears"
    foreign.mkdir()
    (foreign / "scores.csv").write_text("old")
    run_manifest(ManifestRun(choose(order, name="band_energy")))
    assert kept(order.output) == {}


def test_a_programs_result_leaves_no_files_of_hawkears(order: RunSpec) -> None:
    foreign = order.output.recording("R") / f"{CHUNKS[0]}_hawkears"
    foreign.mkdir(parents=True)
    (foreign / "scores.csv").write_text("old")
    run_manifest(ManifestRun(order))
    assert kept(order.output) == wanted(*CHUNKS)


def test_a_chunk_analysed_in_parts_leaves_no_files_of_an_earlier_result(
    program: Path, tmp_path: Path
) -> None:
    order = order_of(lay_out(tmp_path / "long", program, chunk_s=12.0), tmp_path)
    assert not run_manifest(ManifestRun(order)).failed
    before = kept(order.output)
    assert len(before) == 3
    (program / "longest").write_text(str(RATE_HZ * 4 * 7))
    (program / "poisoned").write_text("R_chunk_0_12000")
    made = run_manifest(ManifestRun(replace(order, resume=False)))
    assert [chunk_id for chunk_id, _ in made.failed] == ["R_chunk_0_12000"]
    assert kept(order.output) == {"R_chunk_0_12000_runner": before["R_chunk_0_12000_runner"]}


def test_a_pipe_among_them_costs_no_result_and_is_told(order: RunSpec, program: Path) -> None:
    (program / "piped").write_text(CHUNKS[1])
    made = run_manifest(ManifestRun(order))
    assert (made.n_succeeded, made.failed) == (3, ())
    assert kept(order.output) == wanted(*CHUNKS)
    told = {
        event["chunk_id"]: event["details"]["notes"]
        for event in read_events(order.telemetry_log)
        if event["status"] == "success"
    }
    note = "not kept of the program's files: pipe (not a regular file)"
    assert told == {CHUNKS[0]: [], CHUNKS[1]: [note], CHUNKS[2]: []}


def test_what_is_in_their_place_is_replaced(order: RunSpec) -> None:
    place = order.output.recording("R") / f"{CHUNKS[1]}_runner"
    (place / "old").mkdir(parents=True)
    run_manifest(ManifestRun(order))
    assert kept(order.output) == wanted(*CHUNKS)


def test_where_they_go_is_told_to_the_worker() -> None:
    task = ChunkTask(
        Path("a.wav"), 10, Chunk("R", 0, 10, 0, RATE_HZ), files=Path("out put/é_runner")
    )
    assert task_from_json(json.loads(json.dumps(task_to_json(task)))) == task
    assert task_from_json(task_to_json(replace(task, files=None))).files is None
    for channel in (2, "each"):
        assert task_from_json(task_to_json(replace(task, channel=channel))).channel == channel


def test_nothing_that_a_program_wrote_is_kept_where_speech_is_muted(dataset, tmp_path) -> None:
    muted = {"speech": {"privacy": "mute"}, "inference": {"chunk_json": True}}
    dataset = Dataset.open(
        dataset.root, {**muted, "detector": dataset.settings.detector.model_dump()}
    )
    detect(dataset)
    order = order_of(dataset, tmp_path)
    run_manifest(ManifestRun(order))
    assert kept(dataset.inference) == kept(order.output) == {}
    assert order.output.chunk_json("R", CHUNKS[0]).is_file()
