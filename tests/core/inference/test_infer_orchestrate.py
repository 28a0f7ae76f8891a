"""`badc infer orchestrate`: which manifests of a dataset are run, and that one engine runs them."""

import contextlib
import csv
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.archives import run_in
from support.built_once import build_once
from support.commands import BADC, run_typed
from support.held_detector import held_detector
from support.sounds import write_tone
from support.tables import write_rows
from support.telemetry import read_events
from support.waiting import wait_until

from badc_core.cli.chunk import chunk
from badc_core.cli.infer import infer
from badc_core.cli.orchestrate_inference import DatasetRunOptions
from badc_core.cli.run_options import RunOptions
from badc_core.cli.setting_options import SettingOptions
from badc_core.errors import ConfigInvalid, DatasetInvalid, StoppedAtFailure
from badc_core.inference.orchestrate import PLAN_COLUMNS, plan_inference
from badc_core.locks import is_locked
from badc_core.plan_files import read_plan
from badc_core.provenance import commits

NAMES = ("a", "b", "c")
NO_FOLDER = r'"chunk_output_dir": "\u0000"'
ENERGY = ("--detector", "band_energy", "--cpu-workers", "1", "--max-retries", "0")

COUNTING = """
from pathlib import Path

from badc_core.detectors import band_energy

identify = band_energy.identify


def load(settings):
    with (Path(__file__).parent / "loads").open("a") as file:
        file.write("x")
    return band_energy.load(settings)
"""


@pytest.fixture
def root(tmp_path_factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a dataset of three recordings of ten seconds, cut into three chunk files each."""

    def build(folder: Path) -> None:
        root = folder / "l'été, 2024"
        for number, name in enumerate(NAMES):
            write_tone(root / "audio" / "S 1" / f"{name}.wav", 10.0, number)
        plans = ("--plan-json", folder / "chunks.json", "--plan-csv", folder / "chunks.csv")
        cut(root, "--apply", *plans)

    cut_once = build_once(tmp_path_factory, "cut", build)
    shutil.copytree(cut_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "l'été, 2024"


def cut(root: Path, *words: object) -> None:
    run_typed(chunk, "orchestrate", root, "--chunk-duration", 3.5, *words)


def typed(*words: object, code: int = 0) -> tuple[str, str]:
    """Returns what a command wrote to standard output and to standard error."""
    outcome = run_typed(infer, "orchestrate", *words, code=code)
    return outcome.stdout, outcome.stderr


def results(root: Path, name: str) -> dict[str, bytes]:
    folder = root / "artifacts/infer" / name
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def planned(root: Path, **options: object) -> list[str]:
    options = {"detector": "band_energy", **options}
    return [
        one.recording_id
        for one in plan_inference(DatasetRunOptions(root, **options).request()).entries
    ]


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_plan_is_a_table_and_writes_nothing(root):
    before = everything_in(root)
    shown, _ = typed(root, *ENERGY)
    assert "3 recordings, 30.0 s of sound, with band_energy" in shown
    for name in NAMES:
        assert f"manifests/{name}.csv" in shown
        assert f"artifacts/telemetry/infer/{name}.jsonl" in shown
    assert shown.count("3 of 3") == shown.count("completed") == 3
    assert everything_in(root) == before


def test_apply_finds_what_infer_run_finds_with_a_log_for_each_recording(root):
    shown, _ = typed(root, *ENERGY, "--apply")
    assert shown.count("chunks: 3 ok, 0 failed, 0 skipped") == 3
    assert "3 recordings done." in shown
    for name in NAMES:
        log = root / "artifacts/telemetry/infer" / f"{name}.jsonl"
        assert {one["recording_id"] for one in read_events(log)} == {name}
        jobs = json.loads(log.with_name(f"{log.name}.summary.json").read_text())["jobs"]
        assert {f"{one}.json" for one in jobs} == results(root, name).keys()
        assert {job["output"] for job in jobs.values()} == {
            f"artifacts/infer/{name}/{one}" for one in results(root, name)
        }
    manifest = root / "manifests/b.csv"
    words = ["run", str(manifest), *ENERGY, "--output-dir", "alone"]
    run_typed(infer, *words)
    alone = {path.name: path.read_bytes() for path in Path("alone/b").glob("*.json")}
    assert alone == results(root, "b")
    assert any(json.loads(one)["detections"] for one in alone.values())


def test_one_worker_loads_its_model_once_for_all_recordings(root, install_detector):
    site = install_detector("counting", COUNTING)
    typed(root, "--detector", "counting", "--cpu-workers", 1, "--apply")
    assert (site / "loads").read_text() == "x"
    assert all(len(results(root, name)) == 3 for name in NAMES)


def test_what_is_partly_done_is_run_and_what_is_done_is_left_out(root):
    typed(root, *ENERGY, "--apply", "--limit", 2)
    assert planned(root) == ["c"]
    (root / ".badc/journals/b.jsonl").unlink()
    (root / "artifacts/infer/b" / next(iter(results(root, "b")))).unlink()
    before = results(root, "a")
    shown, _ = typed(root, *ENERGY, "--apply")
    assert "b" in planned(root, include_existing=True)
    assert "1 of 3" in shown
    assert "1 recording left out: all chunks have a result." in shown
    assert "b: " in shown
    assert "1 ok, 0 failed, 2 skipped" in shown
    assert results(root, "a") == before
    assert "Nothing to do." in typed(root, *ENERGY, "--apply", "--plan-json", "p.json")[0]
    assert read_plan(Path("p.json")) == []
    assert planned(root, min_score=0.9) == list(NAMES)
    assert planned(root, resume_completed=False) == list(NAMES)
    shown, _ = typed(root, *ENERGY, "--apply", "--include-existing")
    assert shown.count("0 ok, 0 failed, 3 skipped") == 3


@pytest.mark.parametrize("name", ["chunks.json", "chunks.csv"])
def test_a_saved_chunk_plan_is_taken(root, name):
    plan = plan_inference(
        DatasetRunOptions(root, detector="band_energy", chunk_plan=Path(name), limit=2).request()
    )
    assert [one.manifest for one in plan.entries] == [
        root / "manifests" / f"{one}.csv" for one in NAMES[:2]
    ]
    assert [(one.n_left, one.error, one.chunk_status) for one in plan.entries] == [
        *((3, None, "completed"), (3, None, "completed"))
    ]


def test_a_plan_of_other_makers_names_manifests_by_another_key(root):
    rows = [("manifest", "note"), ("manifests/c.csv", "x"), (root / "manifests/a.csv", "")]
    with Path("mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert planned(root, chunk_plan=Path("mine.csv")) == ["c", "a"]


def test_an_infer_plan_has_the_columns_and_is_taken_again(root):
    typed(root, *ENERGY, "--plan-csv", "i.csv", "--plan-json", "i.json")
    entries = read_plan(Path("i.json"))
    assert [list(one) for one in entries] == [list(PLAN_COLUMNS)] * 3
    first = entries[0]
    assert (first["recording_id"], first["output_dir"]) == ("a", "artifacts/infer")
    assert first["recording_output_dir"] == "artifacts/infer/a"
    assert (first["use_hawkears"], first["hawkears_args"]) == (False, [])
    assert (first["max_gpus"], first["cpu_workers"]) == (None, 1)
    assert first["chunk_status_path"] == "artifacts/chunks/a/.chunk_status.json"
    assert first["chunk_status"] == "completed"
    assert planned(root, chunk_plan=Path("i.csv")) == list(NAMES)


def test_a_plan_says_which_hawkears_with_which_arguments(root):
    options = DatasetRunOptions(
        root, use_hawkears=True, hawkears_args=("--band", "1, 2"), detector="hawkears1"
    )
    settings = options.settings(root / "badc.toml")
    assert settings.detector.hawkears.arguments == ("--band", "1, 2")


def spoil(root: Path) -> None:
    """Makes the first of the manifests malformed, and the second's chunk files incomplete."""
    (root / "manifests/a.csv").write_text("recording_id\nnothing\n")
    status = root / "artifacts/chunks/b/.chunk_status.json"
    status.write_text(status.read_text().replace("completed", "in_progress", 1))


def test_manifests_that_cannot_be_run_are_told_and_stop_no_other(root):
    spoil(root)
    shown, errors = typed(root, *ENERGY)
    assert shown.count("cannot be run") == 2
    assert "manifests/a.csv: it has no column" in errors
    shown, errors = typed(root, *ENERGY, "--apply", code=1)
    assert "manifests/a.csv: it has no column" in errors
    assert "chunk files of b" in errors
    assert "in_progress" in errors
    assert "2 of 3 recordings failed" in errors
    assert "c: " in shown
    assert len(results(root, "c")) == 3
    assert not results(root, "b")
    shown, errors = typed(root, *ENERGY, "--apply", "--allow-partial-chunks", code=1)
    assert "Warning: chunk files of b" in errors
    assert len(results(root, "b")) == 3


def test_failed_chunks_cost_their_own_recording_only(root):
    (broken,) = (root / "artifacts/chunks/b").glob("*_3500_7000.wav")
    broken.write_bytes(b"RIFF no sound")
    shown, errors = typed(root, *ENERGY, "--apply", code=1)
    assert "2 ok, 1 failed, 0 skipped" in shown
    assert "1 of 3 chunks failed" in errors
    assert "1 of 3 recordings failed" in errors
    assert [len(results(root, name)) for name in NAMES] == [3, 3, 3]
    assert planned(root) == ["b"]
    assert typed(root, *ENERGY, "--apply", "--max-failed-fraction", 0.5)


def test_an_output_that_cannot_be_written_stops_no_other(root):
    (root / "artifacts/infer").mkdir(parents=True)
    (root / "artifacts/infer/a").write_text("in the way")
    _, errors = typed(root, *ENERGY, "--apply", code=1)
    assert "artifacts/infer/a" in errors
    assert "cannot be written" in errors
    assert [len(results(root, name)) for name in ("b", "c")] == [3, 3]
    assert "1 of 3 recordings failed" in errors


def test_a_recording_in_two_manifests_is_run_once(root):
    text = (root / "manifests/b.csv").read_text()
    (root / "manifests/z.csv").write_text(text)
    shown, errors = typed(root, *ENERGY, "--apply", code=1)
    assert "recording b is in" in errors
    assert "Keep one manifest of each" in errors
    assert shown.count("3 ok, 0 failed") == 3
    both = (root / "manifests/a.csv").read_text() + text.partition("\n")[2]
    (root / "manifests/z.csv").write_text(both)
    assert "chunks of 2 recordings" in typed(root, *ENERGY)[1]


def test_ranges_of_recordings_need_no_chunk_files(root):
    for name in NAMES:
        words = [str(root / "audio/S 1" / f"{name}.wav"), "--chunk-duration", "5"]
        words += ["--output", str(root / "m" / f"{name}.csv")]
        run_typed(chunk, "manifest", *words)
    words = ("--manifest-dir", "m", "--chunks-dir", "none", "--output-dir", "x")
    shown, _ = typed(root, *ENERGY, *words, "--telemetry-dir", "t", "--apply")
    assert shown.count("2 ok, 0 failed") == 3
    assert len(list((root / "x").glob("*/*.json"))) == 6
    assert len(list((root / "t/infer").glob("*.jsonl"))) == 3


def test_wrong_input_is_one_clear_error(root, tmp_path):
    def refusal(**options: object) -> str:
        with pytest.raises((ConfigInvalid, DatasetInvalid)) as caught:
            plan_inference(
                DatasetRunOptions(
                    **{"dataset": root, "detector": "band_energy", **options}
                ).request()
            )
        return str(caught.value)

    assert "nowhere: no such folder" in refusal(dataset=tmp_path / "nowhere")
    assert "no chunk manifests" in refusal(manifest_dir=Path("audio"))
    assert "badc chunk orchestrate" in refusal(manifest_dir=Path("audio"))
    assert "there is no such plan" in refusal(chunk_plan=Path("gone.csv"))
    for name, content, complaint in (
        ("p.json", "{}", "not a plan, which is a list of objects"),
        ("p.json", "[", "not a plan"),
        ("p.json", '[{"manifest": 3}]', "entry 1 has neither manifest_path nor manifest"),
        (
            "p.json",
            '[{"manifest": "a"}, {"manifest": "\\u0000"}]',
            r"entry 2: '\x00' cannot be the",
        ),
        ("p.json", '[{"manifest": "\\ud800"}]', "not a plan"),
        ("p.json", f'[{{"manifest": "a", {NO_FOLDER}}}]', r"entry 1: '\x00' cannot be the name"),
        ("p.json", '[{"manifest": "../evil.csv"}]', "entry 1: '../evil.csv' leads out of"),
        ("p.csv", "manifest,chunk_output_dir\na,../../x\n", "entry 1: '../../x' leads out of"),
        ("p.json", "[" * 100_000, "not a plan"),
        ("p.json", '[{"manifest": 1e999}]', "entry 1 has neither"),
        ("p.json", "[]", "the plan is empty"),
        ("p.csv", "manifest_path\n", "the plan is empty"),
        ("p.csv", "", "not a plan: it has no column manifest_path or manifest"),
        ("p.csv", "recording_id\na\n", "not a plan: it has no column manifest_path or manifest"),
        ("p.csv", "manifest,note\n,x\n", "entry 1 has neither manifest_path nor manifest"),
    ):
        Path(name).write_text(content)
        assert f"{name}: {complaint}" in refusal(chunk_plan=Path(name))
    _, errors = typed(root, "--runner-cmd", "x", "--use-hawkears", code=2)
    assert "--runner-cmd: excludes --use-hawkears" in errors


def test_a_plan_entry_whose_manifest_is_gone_says_so(root):
    (root / "manifests/b.csv").unlink()
    _, errors = typed(root, *ENERGY, "--chunk-plan", "chunks.json", "--apply", code=1)
    assert "manifests/b.csv: there is no such file" in errors
    assert [len(results(root, name)) for name in NAMES] == [3, 0, 3]


def test_datalad_commands_run_the_same_thing(root):
    (root / ".datalad").mkdir()
    shown, _ = typed(root, *ENERGY, "--no-resume-completed", "--print-datalad-run", "--limit", 1)
    (line,) = shown.splitlines()
    words = shlex.split(line)
    assert words[:5] == ["cd", str(root), "&&", "datalad", "run"]
    assert [words[n + 1] for n, one in enumerate(words) if one == "-i"] == [
        *("manifests/a.csv", "artifacts/chunks/a")
    ]
    command = words[words.index("--") + 1 :]
    assert command[:3] == ["badc", "infer", "run"]
    assert command[-2:] == ["--", "manifests/a.csv"]
    places = [root / one if "/" in one else one for one in command[2:]]
    places[places.index("--dataset-root") + 1] = root
    run_typed(infer, *places)
    assert len(results(root, "a")) == 3
    assert (root / "artifacts/telemetry/infer/a.jsonl").exists()


def test_manifests_of_the_original_are_planned(root):
    rows = [("a", f"a_{n}_{n + 5000}", "audio/S 1/a.wav", n, n + 5000, 0) for n in (0, 5000)]
    write_rows(root / "old" / "a.csv", *((*row, "TODO_HASH", "") for row in rows))
    plan = plan_inference(
        DatasetRunOptions(root, detector="band_energy", manifest_dir=Path("old")).request()
    )
    assert [(one.n_chunks, one.n_left) for one in plan.entries] == [(2, 2)]


def test_a_plan_of_what_was_left_does_not_hide_the_rest(root):
    """A plan is saved anew by each call, and then names only what that call had left to do."""
    (root / "audio/S 1/b.wav").touch()
    cut(root, "--include-existing", "--limit", "1", "--plan-json", "left.json")
    shown, _ = typed(root, *ENERGY, "--chunk-plan", "left.json", "--apply")
    assert "2 manifests in manifests left out: not in this plan." in shown
    assert "1 recording done." in shown
    shown, _ = typed(root, *ENERGY, "--chunk-plan", "left.json")
    assert "2 manifests in manifests left out: not in this plan." in shown
    assert "left out: not in" not in typed(root, *ENERGY, "--chunk-plan", "chunks.json")[0]
    assert "left out: not in" not in typed(root, *ENERGY)[0]
    cut(root, "--plan-json", "left.json")
    with pytest.raises(ConfigInvalid, match=r"the plan is empty: .*\. Leave --chunk-plan out "):
        typed(root, *ENERGY, "--chunk-plan", "left.json", "--apply")
    cut(root, "--include-existing", "--plan-json", "all.json")
    assert planned(root, chunk_plan=Path("all.json"), include_existing=True) == list(NAMES)


def test_a_plan_by_way_of_a_link_leaves_nothing_out(root, tmp_path):
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    linked = tmp_path / "link"
    Path("p.csv").write_text("manifest\n" + "".join(f"{linked}/manifests/{n}.csv\n" for n in NAMES))
    options = DatasetRunOptions(root, detector="band_energy", chunk_plan=Path("p.csv"))
    assert plan_inference(options.request()).n_unplanned == 0


def test_a_plan_says_where_the_status_is_and_that_one_counts(root):
    """Also where the folder is not named for the recording."""
    status = (root / "artifacts/chunks/a/.chunk_status.json").read_text()
    (root / "elsewhere").mkdir()
    (root / "elsewhere/.chunk_status.json").write_text(status.replace("completed", "failed", 1))
    rows = [("manifest", "chunk_output_dir"), ("manifests/a.csv", "elsewhere")]
    with Path("mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    options = DatasetRunOptions(root, detector="band_energy", chunk_plan=Path("mine.csv"))
    (entry,) = plan_inference(options.request()).entries
    assert entry.chunk_status == "failed"
    assert f"chunk files of a in {root / 'elsewhere'}: failed" in str(entry.error)


def test_how_to_try_the_rest_again_is_true(root):
    (broken,) = (root / "artifacts/chunks/b").glob("*_3500_7000.wav")
    broken.write_bytes(b"RIFF no sound")
    assert "Run again to try just these." in typed(root, *ENERGY, "--apply", code=1)[1]
    _, errors = typed(root, *ENERGY, "--apply", "--no-resume-completed", code=1)
    assert "Run again without --no-resume-completed to try just these." in errors


def test_datalad_commands_are_printed_quietly_and_as_json(root):
    (root / ".datalad").mkdir()
    words = (*ENERGY, "--print-datalad-run")
    shown, _ = typed(root, *words)
    assert typed(root, *words, "--quiet")[0] == shown
    assert json.loads(typed(root, *words, "--json")[0]) == shown.splitlines()


def test_a_program_beside_the_caller_is_found_from_the_dataset_too(root, tmp_path):
    (root / ".datalad").mkdir()
    (tmp_path / "mine.py").write_text(
        "import json, sys\n"
        "words = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "open(words['--output'], 'w').write(json.dumps({'detections': []}))\n"
    )
    (tmp_path / "mine it.sh").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "mine it.sh").chmod(0o755)
    given = ("--runner-cmd", "'./mine it.sh' mine.py", "--cpu-workers", 1)
    shown, _ = typed(root, *given, "--print-datalad-run", "--limit", 1)
    words = shlex.split(shlex.split(shown)[shlex.split(shown).index("--runner-cmd") + 1])
    assert words == [str(tmp_path / "mine it.sh"), str(tmp_path / "mine.py")]
    command = shlex.split(shown)[shlex.split(shown).index("--") + 3 :]
    with contextlib.chdir(root):
        run_typed(infer, *command)
    assert len(results(root, "a")) == 3
    assert "1 recording left out: all chunks have a result." in typed(root, *given)[0]
    for given in ("python3 -m x", "'no end"):
        assert SettingOptions(runner_cmd=given).anchored(root).runner_cmd == given
    shutil.copy(tmp_path / "mine.py", root)
    with contextlib.chdir(root):
        here = SettingOptions(runner_cmd="python3 mine.py")
        assert here.anchored(root) == here, "good in a clone, too"
    single = RunOptions(manifest=root / "manifests" / "a.csv", runner_cmd="python3 mine.py")
    assert single.order().settings.detector.command == f"python3 {tmp_path / 'mine.py'}"


def locks(root: Path) -> list[Path]:
    """Returns the files by which runs hold recordings."""
    return [
        *filter(is_locked, (root / "artifacts" / "telemetry").glob("*/.badc/log_locks/*")),
        *filter(is_locked, (root / ".badc" / "analyses").glob("*")),
    ]


@pytest.fixture
def other_run(root, install_detector):
    """Yields a run of the dataset that is at work on `a`, and a folder: `go` lets it go on."""
    site = install_detector("slow", held_detector())
    command = [str(BADC), "infer", "orchestrate", str(root)]
    command += ["--detector", "slow", "--cpu-workers", "1", "--apply"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            wait_until((site / "begun").exists)
            yield process, site
        finally:
            (site / "go").touch()
            process.kill()


def test_what_another_run_is_at_work_on_is_left_to_it(root, other_run):
    process, site = other_run
    words = (root, "--detector", "slow", "--cpu-workers", 1, "--apply", "--limit", 1)
    _, errors = typed(*words, code=1)
    assert "Error: a: another run is at work on this recording. Let that end" in errors
    assert "1 of 1 recording failed" in errors
    assert len(locks(root)) == 2
    (site / "go").touch()
    assert process.wait(60) == 0
    begun = (site / "begun").read_text().split()
    assert len(begun) == len(set(begun)) == 9
    for name in NAMES:
        log = root / "artifacts/telemetry/infer" / f"{name}.jsonl"
        jobs = json.loads(log.with_name(f"{log.name}.summary.json").read_text())["jobs"]
        assert [one["status"] for one in jobs.values()] == ["success"] * 3
    assert "Nothing to do." in typed(*words)[0]
    assert not locks(root)


def test_two_runs_share_a_log_only_one_after_the_other(root, other_run):
    words = (root, "--detector", "slow", "--cpu-workers", 1, "--apply", "--limit", 1)
    _, errors = typed(*words, "--output-dir", "elsewhere", code=1)
    assert "Error: a: another run is at work on this recording" in errors
    assert not (root / "elsewhere/a").exists()


def test_a_run_that_was_killed_holds_nothing(root, other_run):
    process, site = other_run
    process.kill()
    process.wait(60)
    (site / "go").touch()
    words = (root, "--detector", "slow", "--cpu-workers", 1, "--apply")
    assert "3 recordings done." in typed(*words)[0]
    assert not locks(root)


def test_what_is_found_when_a_plan_breaks_off_is_committed(root, monkeypatch):
    monkeypatch.setattr(commits, "MOST_SINGLE", 0)
    run_in(root, "git", "init", "-q")
    run_in(root, "git", "annex", "init", "-q")
    for path in (root / "artifacts/chunks/c").glob("*.wav"):
        path.write_bytes(b"no sound")
    (root / "badc.toml").write_text("[inference]\nfail_fast = true\n", encoding="utf-8")
    with pytest.raises(StoppedAtFailure):
        typed(root, *ENERGY, "--apply", "--record-datalad")
    subject = run_in(root, "git", "log", "-1", "--format=%s")
    assert subject.startswith("[DATALAD RUNCMD] Detect in a to Detect in ")
