"""`badc infer` as people meet it: as a process, with its exit codes, killed and started again."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from support.commands import BADC, run_badc
from support.sounds import write_tone
from support.tables import rows_of, write_rows
from support.telemetry import read_events
from support.waiting import wait_until
from typer.main import get_command

from badc_core.cli.infer import infer
from badc_core.detections.schema import DETECTION_COLUMNS
from badc_core.detections.store import read_detections

NAME = "Sambaa K'e, été; $HOME"

RUNNER = """
import json, pathlib, sys, time
folder = pathlib.Path(__file__).parent
chunk, output = sys.argv[sys.argv.index("--input") + 1], sys.argv[sys.argv.index("--output") + 1]
time.sleep(0.15)
patience = folder / "failures"
left = int(patience.read_text()) if patience.exists() else 0
if left and "_4000_5000" in chunk:
    patience.write_text(str(left - 1))
    sys.exit(f"out of luck, {left} left")
size = pathlib.Path(chunk).stat().st_size
found = {"timestamp_ms": 100, "end_ms": 900, "confidence": size % 97 / 100,
         "label": "Owl, Great Horned", "label_name": "Owl, Great Horned"}
pathlib.Path(output).write_text(json.dumps({"detections": [found]}))
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a dataset's folder with one recording of ten seconds in it."""
    root = tmp_path / "l'été, 2024"
    write_tone(root / "audio" / "S 1" / f"{NAME}.wav", 10.0)
    return root


@pytest.fixture
def manifest(root: Path) -> Path:
    """Returns a manifest of the original's kind without hashes: ten ranges of the recording."""
    source = f"audio/S 1/{NAME}.wav"
    rows = [
        (NAME, f"{NAME}_{1000 * n}_{1000 * n + 1000}", source, 1000 * n, 1000 * n + 1000, 0)
        for n in range(10)
    ]
    rows = ((*row, "TODO_HASH", "") for row in rows)
    return write_rows(root / "manifests" / f"{NAME}.csv", *rows)


@pytest.fixture
def runner(tmp_path: Path) -> str:
    """Returns a program that takes its time and finds one thing in every chunk."""
    script = tmp_path / "my runner.py"
    script.write_text(RUNNER)
    return shlex.join([sys.executable, str(script)])


@pytest.fixture
def badc(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return partial(run_badc, "infer", folder=tmp_path)


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / NAME).glob("*.json")}


def journal_lines(folder: Path) -> list[dict]:
    path = folder / ".badc" / "journals" / f"{NAME}.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def start_and_interrupt(
    words: list[str], out: Path, number: int, n_chunks: int = 3
) -> tuple[int, str]:
    """Sends a signal once some chunks are done; returns exit code and standard error."""
    running = subprocess.Popen(
        [BADC, "infer", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=out.parent,
        start_new_session=True,
    )
    wait_until(lambda: len(journal_lines(out)) >= n_chunks)
    if number == signal.SIGKILL:
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    _, errors = running.communicate(timeout=30)
    wait_until(lambda: not left_over(running.pid), 10)
    return running.returncode, errors


def left_over(session: int) -> list[str]:
    """Returns the processes of a session that still run, where that can be seen."""
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stats.append(path.read_text(encoding="utf-8", errors="replace"))
    fields = [stat.rpartition(")")[2].split() for stat in stats]
    return [one[0] for one in fields if one[3] == str(session) and one[0] not in {"Z", "X"}]


def successes(*logs: Path) -> Counter[str]:
    events = [event for log in logs for event in read_events(log)]
    return Counter(one["chunk_id"] for one in events if one["status"] == "success")


def test_a_manifest_is_run_in_its_dataset_and_says_what_came_of_it(badc, root, manifest):
    done = badc("run", manifest, "--detector", "band_energy", "--cpu-workers", 1)
    assert re.search(r"\d+ detections; chunks: 10 ok, 0 failed, 0 skipped", done.stdout)
    assert "x real time" in done.stdout
    assert "Failed attempts" in done.stdout
    out = root / "artifacts" / "infer"
    assert len(results(out)) == 10
    (log,) = (root / "artifacts" / "telemetry" / "infer").glob("*.jsonl")
    assert re.fullmatch(rf"{re.escape(NAME)}_\d{{8}}T\d{{6}}Z_[0-9a-f]{{4}}", log.stem)
    assert str(log) in done.stdout
    assert log.with_name(f"{log.name}.summary.json.workers.csv").exists()
    again = badc("run", manifest, "--detector", "band_energy")
    assert "Nothing to do: all 10 chunks have their result." in again.stdout
    assert "Summary:" not in again.stdout
    assert len(list(log.parent.glob("*.summary.json"))) == 1


def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(
    badc, tmp_path, root, manifest, runner
):
    undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    words = ["run", str(manifest), "--runner-cmd", runner, "--cpu-workers", "2"]
    badc(*words, "--output-dir", undisturbed)
    for log in (first, second):
        into = [*words, "--output-dir", str(disturbed), "--telemetry-log", str(log)]
        if log is first:
            code, _ = start_and_interrupt(into, disturbed, signal.SIGKILL)
            assert code == -signal.SIGKILL
            kept = {line["chunk_id"] for line in journal_lines(disturbed)}
            assert 3 <= len(kept) < 10
        else:
            assert f"{10 - len(kept)} ok, 0 failed, {len(kept)} skipped" in badc(*into).stdout
    assert results(disturbed) == results(undisturbed)
    assert len(results(disturbed)) == 10
    begun_again = {one["chunk_id"] for one in read_events(second)}
    assert begun_again.isdisjoint(kept)
    assert successes(second) == dict.fromkeys(begun_again, 1)
    assert begun_again | kept == {Path(name).stem for name in results(undisturbed)}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_run_writes_its_summary_and_says_so_by_its_exit_code(
    badc, manifest, runner, number, code
):
    tmp_path = Path(shlex.split(runner)[1]).parent
    out, log = tmp_path / "out", tmp_path / "one.jsonl"
    words = ["run", str(manifest), "--runner-cmd", runner, "--cpu-workers", "1"]
    words += ["--output-dir", str(out), "--telemetry-log", str(log)]
    ended, errors = start_and_interrupt(words, out, number)
    assert ended == code, errors
    assert "run again to go on" in errors
    (n_done,) = re.findall(r"^(\d+) of 10 chunks done\.$", errors, re.MULTILINE)
    # The signal may come between a chunk's journal line, its file and its being counted.
    assert 2 <= int(n_done) <= len(results(out)) <= int(n_done) + 1
    assert f"Results: {out}\n" in errors
    assert f"Summary: {log}.summary.json\n" in errors
    jobs = json.loads(log.with_name(f"{log.name}.summary.json").read_text())["jobs"]
    kept = {line["chunk_id"] for line in journal_lines(out)}
    assert kept <= {name for name, job in jobs.items() if job["status"] == "success"}
    assert "skipped" in badc(*words).stdout
    jobs = json.loads(log.with_name(f"{log.name}.summary.json").read_text())["jobs"]
    assert len(jobs) == 10


def test_a_program_that_fails_twice_and_then_does_not_is_tried_again(
    badc, tmp_path, manifest, runner
):
    (tmp_path / "failures").write_text("2")
    log = tmp_path / "one.jsonl"
    words = ["run", manifest, "--runner-cmd", runner, "--telemetry-log", log]
    done = badc(*words, "--cpu-workers", 1, "--max-retries", 2)
    assert "10 ok, 0 failed" in done.stdout
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("  ")]
    assert "out of luck" in line
    assert done.stderr.count("4000_5000: ") == 1
    assert "Done, but not at the first attempt:" in done.stderr
    failed = [one for one in read_events(log) if one["status"] == "failure"]
    assert len(failed) == 2
    assert all(one["details"]["returncode"] == 1 for one in failed)
    assert "out of luck" in failed[0]["details"]["stderr"]
    assert "--input" in failed[0]["details"]["command"]
    (name,) = {one["chunk_id"] for one in read_events(log) if one["attempt"] == 3}
    job = json.loads(log.with_name(f"{log.name}.summary.json").read_text())["jobs"][name]
    assert (job["status"], job["attempts"], job["retries"]) == ("success", 3, 2)


def test_chunks_that_fail_are_listed_at_the_end_and_the_rest_is_kept(
    badc, tmp_path, root, manifest, runner
):
    (tmp_path / "failures").write_text("1")
    words = ["run", manifest, "--runner-cmd", runner, "--cpu-workers", 1, "--max-retries", 0]
    done = badc(*words, code=1)
    assert "9 ok, 1 failed" in done.stdout
    assert f"1 of 10 chunks failed:\n  {NAME}_" in done.stderr
    assert done.stderr.count("4000_5000: ") == 1, "told once, and the name is not repeated"
    assert "trouble" not in done.stderr
    assert "retries" not in done.stderr
    (tmp_path / "failures").write_text("1")
    done = badc(*words, "--max-failed-fraction", 0.1, "--no-resume-completed")
    assert "9 ok, 1 failed" in done.stdout
    assert "left as before" not in done.stderr, "it had no result"
    assert "1 ok, 0 failed, 9 skipped" in badc(*words).stdout


def test_a_programs_detections_are_kept_and_gathered_with_quotes(
    badc, tmp_path, root, manifest, runner
):
    badc("run", manifest, "--runner-cmd", runner, "--min-score", 0, "--cpu-workers", 2)
    table, parquet = tmp_path / "l'été, 1.csv", tmp_path / "l'été, 1.parquet"
    out = root / "artifacts" / "infer"
    done = badc("aggregate", out, "--output", table, "--parquet", parquet)
    assert (
        "10 detections in 10 chunks of 1 recording; 0 chunks failed and have no result"
        in done.stdout
    )
    rows = rows_of(table)
    assert list(rows[0]) == [*(column.name for column in DETECTION_COLUMNS), "overlap_ms"]
    assert [row["label"] for row in rows] == ["Owl, Great Horned"] * 10
    assert [int(row["absolute_time_ms"]) for row in rows] == [1000 * n + 100 for n in range(10)]
    assert {row["recording_id"] for row in rows} == {NAME}
    stored = read_detections(parquet)
    assert stored["detection_id"].to_pylist() == [row["detection_id"] for row in rows]


def plain(text: str) -> str:
    """Returns what is in a frame around a message as one line."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--runner-cmd", "x", "--use-hawkears"], "--runner-cmd: excludes --use-hawkears"),
        (["--runner-cmd", "x", "--detector", "birdnet"], "excludes --detector birdnet"),
        (["--use-hawkears", "--detector", "birdnet"], "--use-hawkears: excludes --detector"),
        (["--hawkears-arg", "--fast"], "--hawkears-arg: arguments can be passed to HawkEars 1"),
        (["--detector", "stab"], "--detector: no detector is called 'stab', only band_energy"),
        (["--stub-runner", "--use-hawkears"], "--stub-runner: excludes --use-hawkears"),
        (["--stub-runner", "--runner-cmd", "x"], "--stub-runner: excludes --runner-cmd"),
        (["--stub-runner", "--detector", "birdnet"], "excludes --detector birdnet"),
        (["--min-score", "7"], "--min-score: must be less than or equal to 1, not 7"),
        (["--min-score", "nan"], "--min-score: must be"),
        (["--worker-per-gpu", "0"], "--worker-per-gpu: must be greater than or equal to 1, not 0"),
    ],
)
def test_wrong_options_are_named_and_exit_with_2(badc, manifest, words, complaint):
    refused = badc("run", manifest, *words, code=2)
    assert complaint in plain(refused.stderr)
    assert "badc.toml" not in refused.stderr


def test_a_wrong_settings_file_is_blamed_itself(badc, root, manifest):
    (root / "badc.toml").write_text("[detector]\nmin_score = 7\n")
    refused = badc("run", manifest, "--cpu-workers", 1, code=1)
    assert "badc.toml: detector.min_score: must be" in refused.stderr
    (root / "badc.toml").write_text("[detector]\nthresholds = { Owl = 0.1 }\n")
    refused = badc("run", manifest, "--use-hawkears", code=2)
    assert "--use-hawkears: thresholds below min_score" in plain(refused.stderr)


def test_a_file_that_is_no_log_is_not_appended_to(badc, root, manifest):
    notes = root / "notes.txt"
    notes.write_text("mine\n")
    refused = badc("run", manifest, "--telemetry-log", notes, code=1)
    assert "notes.txt: this file is not a telemetry log" in refused.stderr
    assert notes.read_text() == "mine\n"


def write_config(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_a_toml_file_runs_from_its_own_folder(badc, root, manifest, tmp_path):
    config = write_config(
        root / "run, 1.toml",
        "[runner]",
        f'manifest = "manifests/{NAME}.csv"',
        'output_dir = "found"',
        'telemetry_log = "logs/one.jsonl"',
        'detector = "band_energy"',
        "cpu_workers = 1",
        "[hawkears]",
        'extra_args = "--min_score 0.7"',
        "[paths]",
        'dataset_root = "."',
    )
    assert "10 ok" in badc("run-config", config).stdout
    assert len(results(root / "found")) == 10
    assert (root / "logs" / "one.jsonl").exists()


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["[runner]"], "runner.manifest is missing"),
        (["[paths]"], "runner is missing"),
        (["[runner]", 'manifest = "m.csv"', "max_gpu = 1"], "unknown key runner.max_gpu; valid"),
        (["[runner]", 'manifest = "m.csv"', 'cpu_workers = "many"'], "runner.cpu_workers: "),
        (["[runner]", 'manifest = "m.csv"', "cpu_workers = -1"], "run.toml: runner.cpu_workers: "),
        (["[runner]", 'manifest = "m.csv"', "min_score = 7"], "run.toml: runner.min_score: "),
        (["[runner]", 'manifest = "m.csv"', "[hawkears]", "extra_args = 3"], "hawkears.extra_args"),
        (["[runner]", 'manifest = "m.csv"', "[hawk]"], "unknown key hawk; valid here: hawkears"),
        (["[runner", "x"], "not valid TOML"),
        (
            ["[runner]", 'manifest = "m.csv"', 'runner_cmd = "x"', "use_hawkears = true"],
            "run.toml: runner.runner_cmd: excludes runner.use_hawkears",
        ),
    ],
)
def test_a_toml_file_that_cannot_be_used_is_refused_by_key(tmp_path, lines, complaint):
    from badc_core.cli.run_config import read_run_config  # noqa: PLC0415
    from badc_core.errors import ConfigInvalid  # noqa: PLC0415

    with pytest.raises(ConfigInvalid) as caught:
        read_run_config(write_config(tmp_path / "run.toml", *lines)).order()
    assert complaint in str(caught.value)
    assert "badc.toml" not in str(caught.value)


def test_hawkears_is_asked_for_in_three_ways(tmp_path):
    from badc_core.cli.run_options import RunOptions  # noqa: PLC0415

    def chosen(**options: object) -> tuple[str, tuple[str, ...]]:
        detector = RunOptions(tmp_path / "m.csv", **options).order().settings.detector
        return detector.name, detector.hawkears.arguments

    assert chosen() == ("birdnet", ())
    assert chosen(use_hawkears=True) == ("hawkears", ())
    assert chosen(use_hawkears=True, hawkears_args=("--band", "1")) == (
        *("hawkears1", ("--band", "1")),
    )
    assert chosen(detector="hawkears1", hawkears_args=("--fast",)) == ("hawkears1", ("--fast",))


def test_the_real_detector_is_the_default(badc, tmp_path, field_audio):
    source = field_audio / "CommonYellowthroat.mp3"
    row = ("COYE", "COYE_0_5903", source, 0, 5903, 0, "TODO_HASH", "")
    manifest = write_rows(tmp_path / "m.csv", row)
    badc("run", manifest, "--cpu-workers", 1)
    content = json.loads((tmp_path / "artifacts/infer/COYE/COYE_0_5903.json").read_text())
    assert content["runner"] == "birdnet"
    assert "Common Yellowthroat" in {one["label_name"] for one in content["detections"]}
    assert list((tmp_path / "data/telemetry/infer").glob("m_*.jsonl"))


def test_the_group_has_its_commands():
    names = {command.name for command in infer.registered_commands}
    assert names >= {"run", "orchestrate", "run-config", "aggregate", "monitor"}


@pytest.mark.parametrize(
    "command", ["run", "orchestrate", "run-config", "aggregate", "compare", "monitor"]
)
def test_help_in_eighty_columns_cuts_no_option_and_loses_no_bracket(badc, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = badc(command, "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    for parameter in get_command(infer).commands[command].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            is_option = option.startswith("-")
            assert not is_option or re.search(rf"(?<!\S){option}(?![\w-])", shown), option
        assert " ".join((parameter.help or "").split()) in words


def test_help_shows_sections_of_files_as_they_are_written(badc):
    assert "TOML with a section [runner]." in badc("run-config", "--help").stdout
