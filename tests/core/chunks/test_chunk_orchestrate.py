"""`badc chunk orchestrate`: a dataset's chunk files, planned, written side by side, recorded."""

import itertools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from support.archives import run_in
from support.commands import run_typed
from support.tables import rows_of

from badc_core.chunks.manifest import read_manifest, write_manifest
from badc_core.chunks.orchestrate import PLAN_COLUMNS, DatasetCut, cut_dataset, plan_dataset
from badc_core.chunks.requests import read_requests
from badc_core.chunks.status import read_status
from badc_core.cli import orchestrate_chunks
from badc_core.cli.chunk import chunk
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid, DatasetInvalid, RepositoryFailed, StorageFull
from badc_core.plan_files import read_plan
from badc_core.provenance import commits, fetching
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import read_registry

RATE_HZ = 8000
ODD = "audio/S 2/l'été [1] {x}, $HOME.WAV"
PATHS = ("audio/S1/a.wav", "audio/S3/a.wav", ODD)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a dataset of three recordings, two of one name, and a FLAC file."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "Sambaa K'e, 2024"
    for number, path in enumerate((*PATHS, "audio/S3/b.flac")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(number).normal(0, 0.1, RATE_HZ * 10)
        sf.write(root / path, samples, RATE_HZ)
    return root


def typed(*words: object, code: int = 0) -> tuple[str, str]:
    """Returns what a command wrote to standard output and to standard error."""
    outcome = run_typed(chunk, "orchestrate", *words, code=code)
    return outcome.stdout, outcome.stderr


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def ids_of(root: Path) -> dict[str, str]:
    return {one.path: one.recording_id for one in read_registry(root / "recordings.csv")}


def test_a_plan_is_a_table_and_touches_nothing(root):
    before = everything_in(root)
    shown, _ = typed(root)
    for path in PATHS:
        assert path in shown
    assert "manifests/S1__a.csv" in shown
    assert "artifacts/chunks/S3__a" in shown
    assert "1 other audio file not matched by --pattern *.wav" in shown
    assert everything_in(root) == before


def test_a_plan_needs_no_sound(root):
    for path in PATHS:
        (root / path).unlink()
        (root / path).symlink_to("../../.git/annex/objects/elsewhere.wav")
    assert all(path in typed(root)[0] for path in PATHS)


def test_saved_plans_say_the_same_in_both_formats(root, tmp_path):
    typed(root, "--overlap", 1.5, "--plan-csv", "p, 1.csv", "--plan-json", "p.json")
    entries = read_plan(tmp_path / "p.json")
    assert [list(one) for one in entries] == [list(PLAN_COLUMNS)] * 3
    assert [one["audio_path"] for one in entries] == sorted(PATHS)
    assert {(one["chunk_duration"], one["overlap"]) for one in entries} == {(60.0, 1.5)}
    texts = [{name: str(value) for name, value in one.items()} for one in entries]
    assert read_plan(tmp_path / "p, 1.csv") == texts


def test_apply_writes_what_chunk_run_writes(root):
    shown, _ = typed(root, "--chunk-duration", 4, "--overlap", 1, "--apply", "--workers", 3)
    assert shown.count("3 chunks written, 0 were there") == 3
    assert "3 recordings done." in shown
    for path, recording_id in ids_of(root).items():
        if not path.endswith(".flac"):
            folder = root / "artifacts/chunks" / recording_id
            assert read_status(folder).status == "completed"
            assert read_status(folder).manifest_path == f"manifests/{recording_id}.csv"
    folder, manifest = root / "artifacts/chunks/S1__a", root / "manifests/S1__a.csv"
    made = {path.name: path.read_bytes() for path in folder.glob("*.wav")}
    rows = rows_of(manifest)
    again = ["run", str(root / PATHS[0]), "--chunk-duration", "4", "--overlap", "1"]
    again += ["--output-dir", str(root / "other"), "--manifest", "m.csv"]
    run_typed(chunk, *again)
    files = (root / "other/S1__a").glob("*.wav")
    assert {path.name: path.read_bytes() for path in files} == made
    kept = ("chunk_id", "sha256", "start_frame", "end_frame", "overlap_ms", "notes")
    assert [[row[one] for one in kept] for row in rows_of(Path("m.csv"))] == [
        [row[one] for one in kept] for row in rows
    ]


def test_what_is_there_is_left_out_until_it_is_damaged(root):
    typed(root, "--chunk-duration", 4, "--apply")
    shown, _ = typed(root, "--chunk-duration", 4, "--plan-json", "p.json")
    assert "3 recordings left out: the chunks are there." in shown
    assert "Nothing to do." in shown
    assert json.loads(Path("p.json").read_text()) == []
    assert "Chunks of 3 recordings" in typed(root, "--chunk-duration", 4, "--include-existing")[0]
    assert "Chunks of 3 recordings" in typed(root, "--chunk-duration", 5)[0]
    (gone,) = (root / "artifacts/chunks/S1__a").glob("*_0_4000.wav")
    gone.unlink()
    sf.write(root / PATHS[1], np.zeros(RATE_HZ * 9), RATE_HZ)
    shown, _ = typed(root, "--chunk-duration", 4, "--apply")
    assert "S1__a: 1 chunk written, 1 was there" in shown
    assert "S3__a: 2 chunks written" in shown
    assert "2 recordings done" in shown


def test_a_manifest_of_ranges_in_place_of_files_is_written_again(root):
    typed(root, "--chunk-duration", 4, "--apply")
    manifest = root / "manifests/S1__a.csv"
    words = ["manifest", str(root / PATHS[0]), "--chunk-duration", "4", "--output", str(manifest)]
    run_typed(chunk, *words)
    assert {row["source_path"] for row in rows_of(manifest)} == {PATHS[0]}
    assert "S1__a: 2 chunks written" in typed(root, "--chunk-duration", 4, "--apply")[0]
    assert {Path(row["source_path"]).parent.name for row in rows_of(manifest)} == {"S1__a"}


@pytest.mark.parametrize("workers", [1, 2])
def test_one_failure_stops_no_other_and_exits_with_1(root, workers):
    (root / PATHS[0]).write_bytes(b"RIFF no sound at all")
    shown, errors = typed(root, "--chunk-duration", 4, "--apply", "--workers", workers, code=1)
    assert shown.count("2 chunks written") == 2
    assert f"Error: {root / PATHS[0]}: not audio" in errors
    assert "1 of 3 recordings failed; what is done is kept. Run again to try just these." in errors
    assert read_status(root / "artifacts/chunks/S1__a").status == "failed"
    assert "failed" in typed(root, "--chunk-duration", 4)[0]
    anew = ("--chunk-duration", 4, "--apply", "--include-existing")
    assert "Run again without --include-existing to try just" in typed(root, *anew, code=1)[1]


def test_workers_that_wait_for_a_sound_are_let_go_when_a_cut_ends_early(root, monkeypatch):
    calls, were_let_go = [], []

    def fetch_slowly(_paths, ended):
        calls.append(ended)
        if len(calls) > 2:  # those of the first recording
            were_let_go.append(ended.wait(5))
        return {}

    monkeypatch.setattr(fetching, "_AT_ONCE", 1)
    monkeypatch.setattr(fetching, "fetch", fetch_slowly)
    cutting = cut_dataset(plan_dataset(DatasetCut(root)), n_workers=2)
    next(cutting)
    cutting.close()
    assert were_let_go
    assert all(were_let_go)


@pytest.mark.parametrize(
    ("pattern", "n"), [("*.WAV", 3), ("*.flac", 1), ("*", 4), ("audio/s3/*", 2), ("a.wav", 2)]
)
def test_a_pattern_knows_no_upper_case_and_may_name_folders(root, pattern, n):
    plan = plan_dataset(DatasetCut(root, pattern))
    assert (len(plan.places), plan.n_unmatched) == (n, 4 - n)


def test_a_limit_counts_what_is_to_be_done(root):
    (outcome,) = cut_dataset(plan_dataset(DatasetCut(root, limit=1), register=True))
    plan = plan_dataset(DatasetCut(root, limit=1))
    assert [place.name.recording_id for place in plan.places] != [outcome.recording_id]
    assert (len(plan.places), plan.n_finished) == (1, 1)


def test_folders_begin_at_the_dataset_or_are_absolute(root, tmp_path):
    cut = DatasetCut(root, manifest_dir=Path("m/deep"), chunks_dir=tmp_path / "c", limit=1)
    (entry,) = plan_dataset(cut).entries()
    assert entry["manifest_path"].startswith("m/deep/")
    assert entry["chunk_output_dir"] == str(tmp_path / "c" / entry["recording_id"])


def test_a_file_that_comes_later_takes_no_names_away(root):
    (root / "audio/S1/only.wav").write_bytes((root / PATHS[0]).read_bytes())
    typed(root, "--chunk-duration", 4, "--apply")
    (root / "audio/S3/only.wav").write_bytes((root / PATHS[1]).read_bytes())
    assert {one["recording_id"] for one in plan_dataset(DatasetCut(root)).entries()} >= {"S3__only"}
    assert (root / "artifacts/chunks/only").is_dir()
    assert ids_of(root)["audio/S1/only.wav"] == "only"


def test_manifests_of_files_can_be_read_as_ranges_of_the_recording(root):
    typed(root, "--chunk-duration", 4, "--apply")
    dataset = Dataset.open(root)
    registered = read_registry(dataset.registry).by_path[PATHS[0]]
    recording = describe_recording(dataset, registered)
    assert len(read_manifest(dataset.manifest("S1__a"), recording).chunks) == 2
    assert read_requests([dataset.manifest("S1__a")], root)["S1__a"][0].is_file


def test_manifests_that_the_asset_graph_made_are_not_replaced_without_a_warning(root):
    typed(root, "--chunk-duration", 4, "--apply")
    dataset = Dataset.open(root)
    for registered in read_registry(dataset.registry):
        if registered.path in PATHS[:2]:
            recording = describe_recording(dataset, registered)
            recording.write(dataset.recording(registered.recording_id))
            write_manifest(dataset, registered.recording_id)
    shown, warning = typed(root, "--chunk-duration", 4)
    assert "Chunks of 2 recordings" in shown
    assert "Warning: 2 manifests of ranges in manifests, such as badc run makes" in warning
    assert "to be replaced; with another --manifest-dir both are kept" in warning
    assert warning.count("\n") == 1
    assert "Warning" not in typed(root, "--chunk-duration", 4, "--manifest-dir", "m", "--apply")[1]
    assert not read_requests([dataset.manifest("S1__a")], root)["S1__a"][0].is_file
    assert "makes, replaced;" in typed(root, "--chunk-duration", 4, "--apply")[1]
    assert "Warning" not in typed(root, "--chunk-duration", 4, "--include-existing")[1]


def test_a_manifest_that_cannot_be_read_is_no_reason_for_a_warning(root):
    (root / "manifests").mkdir()
    (root / "manifests/S1__a.csv").write_bytes(b"\xff\xfe nothing")
    (root / "manifests/S3__a.csv").write_text("recording_id,notes\nS3__a\n")
    shown, warning = typed(root)
    assert "Chunks of 3 recordings" in shown
    assert not warning


@pytest.mark.parametrize("words", [("--chunk-duration", 0), ("--overlap", 60)])
def test_a_cut_that_cannot_be_is_refused_before_anything_is_registered(root, words):
    before = everything_in(root)
    assert "smaller --overlap" in typed(root, *words, "--apply", code=2)[1]
    assert everything_in(root) == before


def test_wrong_input_is_one_clear_error(root, tmp_path):
    with pytest.raises(DatasetInvalid, match="no such folder"):
        plan_dataset(DatasetCut(tmp_path / "nowhere"))
    with pytest.raises(ConfigInvalid, match=r"none of 4 audio files fits .*Give another --pattern"):
        plan_dataset(DatasetCut(root, "*.mp3"))
    with pytest.raises(ConfigInvalid, match="--overlap must be smaller"):
        plan_dataset(DatasetCut(root, duration_s=5, overlap_s=5))
    _, errors = typed(root, "--apply", "--print-datalad-run", code=2)
    assert "--print-datalad-run: excludes --apply" in errors
    with pytest.raises(RepositoryFailed, match="no git repository, so results cannot be"):
        typed(root, "--record-datalad", "--apply")


def test_datalad_commands_are_all_there_is_and_name_every_path(root):
    (root / ".datalad").mkdir()
    shown, notes = typed(root, "--chunk-duration", 4, "--print-datalad-run")
    lines = shown.splitlines()
    assert len(lines) == 3
    assert "not matched" in notes
    line = next(one for one in lines if "{{x}}" in one)
    words = shlex.split(line)
    assert words[:6] == ["cd", str(root), "&&", "datalad", "run", "-d"]
    assert words[words.index("-i") + 1] == "audio/S 2/l'été [[]1] {{x}}, $HOME.WAV"
    assert words[-2:] == ["--", "audio/S 2/l'été [1] {{x}}, $HOME.WAV"]


def test_datalad_commands_are_printed_quietly_and_as_json(root):
    (root / ".datalad").mkdir()
    shown, _ = typed(root, "--print-datalad-run")
    assert typed(root, "--print-datalad-run", "--quiet") == (shown, "")
    as_json, _ = typed(root, "--print-datalad-run", "--json")
    assert json.loads(as_json) == shown.splitlines()


def test_datalad_commands_give_durations_to_the_last_digit(root):
    (root / ".datalad").mkdir()
    words = ("--chunk-duration", 3600.125, "--overlap", 0.1234567, "--print-datalad-run")
    exact = ["--chunk-duration", "3600.125", "--overlap", "0.1234567"]
    for line in typed(root, *words)[0].splitlines():
        command = shlex.split(line)
        assert command[command.index("--chunk-duration") :][:4] == exact
    assert "--chunk-duration 60 --overlap 0 " in typed(root, "--print-datalad-run")[0]


@pytest.mark.slow
def test_datalad_records_each_recording(root):
    run_in(root, "datalad", "create", "--force")
    run_in(root, "datalad", "save", "-m", "sound")
    commands, _ = typed(root, "--chunk-duration", 4, "--print-datalad-run")
    run_in(root, "sh", "-e", "-c", commands)
    log = run_in(root, "git", "log", "--format=%s")
    assert log.count("[DATALAD RUNCMD] Cut ") == 3
    assert "Nothing to do." in typed(root, "--chunk-duration", 4)[0]


@pytest.fixture
def annexed(root) -> Path:
    run_in(root, "git", "init", "-q")
    run_in(root, "git", "annex", "init", "-q")
    return root


def test_of_chunks_that_go_elsewhere_only_the_manifest_is_committed(annexed, tmp_path):
    place = ("--chunks-dir", tmp_path / "scratch")
    typed(annexed, "--apply", "--record-datalad", "--limit", 1, "--chunk-duration", 4, *place)
    message = run_in(annexed, "git", "log", "-1", "--format=%B")
    assert message.startswith("[DATALAD RUNCMD] Cut ")
    record = json.loads(message.split("===\n")[-1].split("\n^^^")[0])
    (manifest,) = record["outputs"]
    assert run_in(annexed, "git", "show", "--format=", "--name-only").split() == [manifest]
    assert str(tmp_path / "scratch") in record["cmd"]


def test_what_is_written_when_a_plan_breaks_off_is_committed(annexed, monkeypatch):
    def break_off(plan, n_workers):
        yield from itertools.islice(cut_dataset(plan, n_workers), 2)
        raise StorageFull("the disk is full", annexed)

    monkeypatch.setattr(commits, "MOST_SINGLE", 0)
    monkeypatch.setattr(orchestrate_chunks, "cut_dataset", break_off)
    with pytest.raises(StorageFull):
        typed(annexed, "--apply", "--chunk-duration", 4)
    subject = run_in(annexed, "git", "log", "-1", "--format=%s")
    assert re.fullmatch(r"\[DATALAD RUNCMD\] Cut .* and 1 more recordings into chunks\n", subject)


def test_what_an_earlier_process_did_not_commit_is_committed(annexed):
    typed(annexed, "--apply", "--no-record-datalad", "--chunk-duration", 4)
    shown, _ = typed(annexed, "--apply", "--chunk-duration", 4)
    assert "Nothing to do." in shown
    words = ("git", "status", "--porcelain", "artifacts", "manifests")
    assert run_in(annexed, *words) == ""
