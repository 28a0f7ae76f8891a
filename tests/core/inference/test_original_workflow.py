"""What the original BADC was validated with, typed on files that it wrote, where it kept them.

Its plan for inference lists: run, resume from the summary, orchestrate and resume again. After that
come aggregate and bundle. Paths in its files begin at the folder around `data/datalad/bogus`.
"""

import hashlib
import json
import shlex
import shutil

import pyarrow.parquet as pq
import pytest
from support.commands import run_badc
from support.sounds import write_tone
from support.tables import rows_of

from badc_core.plan_files import write_plan_json

NAME = "XXXX-000_20251001_093000"
BOGUS = "data/datalad/bogus"
ENERGY = ("--detector", "band_energy", "--cpu-workers", 1)
STUB = ("--stub-runner", "--cpu-workers", 1)


def chunk_id(number):
    return f"{NAME}_chunk_{2000 * number}_{2000 * number + 2000}"


def job(number, status="success", **more):
    """Returns what the original's summary says of a chunk."""
    output = f"artifacts/infer/{NAME}/{chunk_id(number)}.json"
    content = {"status": status, "attempts": 1, "retries": 0, "output": output, "worker": "gpu-0"}
    return {**content, "recording_id": NAME, "last_backoff_s": 0, "last_error": None, **more}


def write_result(folder, number, **content):
    """Writes a chunk's file as the original's runner for HawkEars did."""
    slice_ = {"start_ms": 2000 * number, "end_ms": 2000 * number + 2000, "overlap_ms": 0}
    found = {"timestamp_ms": 0, "end_ms": 1500, "label": "AMRO", "label_name": "American Robin"}
    whole = {
        "chunk_id": chunk_id(number),
        "recording_id": NAME,
        "source_path": f"{BOGUS}/artifacts/chunks/{NAME}/{chunk_id(number)}.wav",
        "status": "ok",
        "detections": [{**found, "confidence": 0.9}],
        "chunk": {**slice_, "sha256": "x", "notes": ""},
        "runner": "custom",
        **content,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{chunk_id(number)}.json").write_text(json.dumps(whole))


@pytest.fixture
def repository(tmp_path):
    """Returns the folder in which the original was started: its dataset, plan and run-config."""
    root = tmp_path / "badc" / BOGUS
    write_tone(root / "audio" / f"{NAME}.wav", 6.0)
    (root / ".datalad").mkdir()
    rows = ["recording_id,chunk_id,source_path,start_ms,end_ms,overlap_ms,sha256,notes"]
    chunks = root / "artifacts" / "chunks" / NAME
    for number in range(3):
        sound = write_tone(chunks / f"{chunk_id(number)}.wav", 2.0, number)
        sha256 = hashlib.sha256(sound.read_bytes()).hexdigest()
        source = f"{BOGUS}/artifacts/chunks/{NAME}/{sound.name}"
        start_ms = 2000 * number
        rows.append(f"{NAME},{chunk_id(number)},{source},{start_ms},{start_ms + 2000},0,{sha256},")
    (root / "manifests").mkdir()
    (root / "manifests" / f"{NAME}.csv").write_text("\n".join(rows) + "\n")
    status = {
        "recording_id": NAME,
        "audio_path": f"audio/{NAME}.wav",
        "chunk_output_dir": f"artifacts/chunks/{NAME}",
        "manifest_path": f"manifests/{NAME}.csv",
        "chunk_duration": 2.0,
        "overlap": 0.0,
        "updated_at": "2025-12-10T02:58:42+00:00",
        "status": "completed",
        "manifest_rows": 3,
    }
    (chunks / ".chunk_status.json").write_text(json.dumps(status))
    plan = {key: f"{BOGUS}/{status[key]}" for key in ("audio_path", "chunk_output_dir")}
    plan |= {"recording_id": NAME, "manifest_path": f"{BOGUS}/manifests/{NAME}.csv"}
    write_plan_json(tmp_path / "badc" / "plans" / "chunks.json", [plan])
    return tmp_path / "badc"


@pytest.fixture
def badc(repository):
    def type_(*words, folder=repository, code=0):
        return run_badc(*words, folder=folder, code=code)

    return type_


def results(repository):
    folder = repository / BOGUS / "artifacts" / "infer" / NAME
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def test_the_validation_of_the_inference_plan(badc, repository):
    manifest, telemetry = f"{BOGUS}/manifests/{NAME}.csv", f"{BOGUS}/artifacts/telemetry"
    log = f"{telemetry}/{NAME}_20251210T025842Z.jsonl"
    first = badc("infer", "run", manifest, *ENERGY, "--telemetry-log", log)
    assert "3 ok, 0 failed, 0 skipped" in first.stdout
    made = results(repository)
    assert len(made) == 3
    again = badc(
        "infer", "run", "--manifest", manifest, *ENERGY, "--resume-summary", f"{log}.summary.json"
    )
    assert "Nothing to do: all 3 chunks have their result." in again.stdout
    orchestrate = ("infer", "orchestrate", BOGUS, "--manifest-dir", "manifests", *ENERGY)
    orchestrate += ("--include-existing", "--apply", "--no-record-datalad")
    badc(*orchestrate, "--no-resume-completed")
    assert (repository / telemetry / "infer" / f"{NAME}.jsonl.summary.json").exists()
    assert "0 ok, 0 failed, 3 skipped" in badc(*orchestrate, "--resume-completed").stdout
    assert results(repository) == made
    bundle = ("--bundle", "--bundle-aggregate-dir", "artifacts/aggregate")
    shown = badc(*orchestrate, *bundle, "--bundle-bucket-minutes", 30, "--bundle-rollup").stdout
    assert f"{NAME}: bundle of" in shown
    aggregate = repository / BOGUS / "artifacts" / "aggregate"
    assert {path.name.removeprefix(NAME) for path in aggregate.iterdir()} == {
        *("_summary.csv", ".parquet", ".duckdb", "_quicklook", "_parquet_report"),
        *("_duckdb_exports", "aggregate_summary"),
    }
    summary = json.loads((aggregate / f"{NAME}_parquet_report" / "summary.json").read_text())
    assert summary["bucket_minutes"] == 30
    n_found = sum(len(json.loads(one)["detections"]) for one in made.values())
    assert summary["detections"] == n_found > 0
    (row,) = rows_of(aggregate / "aggregate_summary" / "recording_summary.csv")
    assert (row["recording_id"], int(row["detections"])) == (NAME, n_found)
    hand = ("--output", "s.csv", "--parquet", "d.parquet", "--manifest", manifest)
    badc("infer", "aggregate", f"{BOGUS}/artifacts/infer", *hand)
    assert pq.read_table(repository / "d.parquet").equals(
        pq.read_table(aggregate / f"{NAME}.parquet")
    )
    assert "detections of" in badc("report", "bundle", "--parquet", "d.parquet").stdout


def test_the_originals_results_are_resumed_from_its_summary_of_the_same_runner(badc, repository):
    root = repository / BOGUS
    for number in range(3):
        write_result(root / "artifacts" / "infer" / NAME, number)
    summary = root / "artifacts" / "telemetry" / "infer" / f"{NAME}.jsonl.summary.json"
    summary.parent.mkdir(parents=True)
    jobs = {chunk_id(0): job(0), chunk_id(1): job(1)}
    jobs[chunk_id(2)] = job(2, "failure", error="boom")
    workers = {"gpu-0": {"success": 2, "failure": 1, "retries": 0, "failed_retries": 2}}
    summary.write_text(json.dumps({"telemetry_log": "x", "workers": workers, "jobs": jobs}))
    words = ("infer", "orchestrate", BOGUS, "--chunk-plan", "plans/chunks.json")
    own = badc(*words, "--runner-cmd", "cat", "--json")
    assert [one["n_left"] for one in json.loads(own.stdout)] == [1]
    other = badc(*words, *STUB, "--json")
    assert [one["n_left"] for one in json.loads(other.stdout)] == [3], "found by another runner"


@pytest.mark.parametrize("place", ["beside the dataset", "inside it", "elsewhere"])
def test_its_run_config_finds_everything_wherever_it_is_typed(badc, repository, tmp_path, place):
    lines = [
        "[runner]",
        f'manifest = "{BOGUS}/manifests/{NAME}.csv"',
        "use_hawkears = false",
        "cpu_workers = 1",
        f'output_dir = "{BOGUS}/artifacts/infer"',
        f'telemetry_log = "{BOGUS}/artifacts/telemetry/REC_local.jsonl"',
        "[hawkears]",
        'extra_args = ["--min_score", "0.75", "--band", "1"]',
        "[paths]",
        f'dataset_root = "{BOGUS}"',
        "[detector]",
        'name = "band_energy"',
    ]
    root = repository / BOGUS
    if place == "elsewhere":
        moved = tmp_path / "archive" / "bogus"
        shutil.move(root, moved)
        root = moved
    config = (root if place != "beside the dataset" else repository / "configs") / "local.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text("\n".join(lines))
    folder = repository if place == "beside the dataset" else root
    assert "3 ok" in badc("infer", "run-config", config, folder=folder).stdout
    assert len(list((root / "artifacts" / "infer" / NAME).glob("*.json"))) == 3
    assert (root / "artifacts" / "telemetry" / "REC_local.jsonl").exists()


def test_a_clone_under_another_name_finds_its_own_files(badc, repository, tmp_path):
    root = tmp_path / "marsh"
    shutil.move(repository / BOGUS, root)
    words = ("infer", "orchestrate", root, *STUB, "--chunk-plan", repository / "plans/chunks.json")
    (entry,) = json.loads(badc(*words, "--json", folder=tmp_path).stdout)
    assert (entry["error"], entry["n_left"], entry["chunk_status"]) == (None, 3, "completed")


def test_commands_for_datalad_are_printed_for_one_manifest_too(badc, repository):
    words = ("infer", "run", f"{BOGUS}/manifests/{NAME}.csv", *STUB, "--print-datalad-run")
    (line,) = badc(*words).stdout.splitlines()
    assert f"-i manifests/{NAME}.csv -i artifacts/chunks/{NAME}" in line
    assert f"-o artifacts/infer/{NAME}" in line
    command = line.partition(" -- ")[2].split()
    assert command[:5] == ["badc", "infer", "run", "--output-dir", "artifacts/infer"]
    assert "--stub-runner" in command
    assert command[-2:] == ["--", f"manifests/{NAME}.csv"]
    badc(*command[1:], folder=repository / BOGUS)
    assert len(results(repository)) == 3
    (repository / BOGUS / ".datalad").rmdir()
    for one in (words, ("infer", "orchestrate", BOGUS, *STUB, "--print-datalad-run")):
        assert "no DataLad dataset" in badc(*one, code=1).stderr


def test_the_command_for_datalad_of_a_run_config_file_does_not_commit_and_has_its_settings(
    badc, repository
):
    root = repository / BOGUS
    lines = ["[runner]", f'manifest = "{BOGUS}/manifests/{NAME}.csv"', "cpu_workers = 1"]
    lines += ["record_datalad = true", "set = ['detector.min_score=0.25']", "[datalad]"]
    lines += ["record = 'require'", "drop_after = true", "[detector]", "name = 'band_energy'"]
    lines += ["thresholds = {'2-4 kHz' = 0.5}"]
    (repository / "run.toml").write_text("\n".join(lines))
    (line,) = badc("infer", "run-config", "run.toml", "--print-datalad-run").stdout.splitlines()
    assert f"-i manifests/{NAME}.csv -i artifacts/chunks/{NAME}" in line
    words = shlex.split(line)
    command = [one.replace("{{", "{").replace("}}", "}") for one in words[words.index("--") + 1 :]]
    assert command[command.index("--telemetry-log") + 1] in words[: words.index("--")]
    shutil.rmtree(root / ".datalad")
    assert "3 ok" in badc(*command[1:], folder=root).stdout, "in no git repository"
    result = json.loads(next((root / "artifacts/infer" / NAME).glob("*.json")).read_text())
    assert result["runner"] == "band_energy"
    for setting in ("datalad.drop_after=true", "detector.min_score=0.25"):
        assert setting in command
    assert 'detector.thresholds={"2-4 kHz" = 0.5}' in command


def test_bundles_do_not_replace_those_of_badc_run_and_need_apply(badc, repository):
    words = ("infer", "orchestrate", BOGUS, *STUB, "--bundle")
    assert "--bundle: needs --apply" in badc(*words, code=2).stderr
    badc(*words, "--apply")
    table = repository / BOGUS / "artifacts" / "aggregate" / f"{NAME}.parquet"
    plain = pq.read_table(table)
    pq.write_table(
        plain.replace_schema_metadata({**plain.schema.metadata, "badc.fingerprint": "x"}), table
    )
    assert "badc run wrote this" in badc(*words, "--apply", code=1).stderr
    rollup = ("--bundle-rollup", "--bundle-rollup-limit", 1, "--bundle-rollup-export-dir", "sums")
    elsewhere = badc(*words, "--apply", "--bundle-aggregate-dir", "mine", *rollup)
    assert f"{NAME}: bundle of" in elsewhere.stdout, "also of what is finished"
    assert (repository / BOGUS / "sums" / "label_summary.csv").exists()
