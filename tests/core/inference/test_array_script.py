"""Scripts of `--sockeye-script`: what they say, and what each task of theirs runs."""

import json
import os
import shutil
import signal
import stat
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.built_once import build_once
from support.commands import BADC, run_typed
from support.held_detector import held_detector
from support.lacking import lacking
from support.sounds import write_tone
from support.waiting import wait_until

from badc_core.chunks.array_script import render_chunk_array
from badc_core.chunks.orchestrate import DatasetCut, plan_dataset
from badc_core.chunks.status import STATUS_FILE
from badc_core.cli.array_options import InferArrayOptions
from badc_core.cli.chunk import chunk
from badc_core.cli.infer import infer
from badc_core.cli.output import Output
from badc_core.cli.reports import reports
from badc_core.datasets.dataset import InferencePaths
from badc_core.errors import ConfigInvalid
from badc_core.inference.array_script import ArrayOutputs, render_infer_array
from badc_core.inference.orchestrate import InferEntry, InferPlan
from badc_core.inference.run_spec import RunSpec
from badc_core.settings import Settings
from badc_core.slurm_array import ArrayJob, expand_variables

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("a", "b", "c")
ENERGY = ("--detector", "band_energy", "--cpu-workers", "1")
JOB = ArrayJob("badc-infer")
EVERYTHING = ArrayJob(
    job_name="birds",
    account="st-owl-1",
    partition="gpu,gpu-long",
    gres="gpu:1",
    time="04:00:00",
    cpus_per_task=4,
    mem="16G",
)

FAKE = """\
#!/bin/bash
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\n\\0'; } >>"$RECORDED"
"""
BUSY = """\
#!/bin/bash
trap 'echo stopped >>"$RECORDED"; exit 143' TERM
echo begun >>"$RECORDED"
while true; do sleep 0.05; done
"""


@pytest.fixture
def root(tmp_path_factory, tmp_path, monkeypatch) -> Path:
    """Returns a dataset of three recordings, cut into two chunk files each."""

    def build(folder: Path) -> None:
        dataset = folder / "l'été; $(touch x)"
        for number, name in enumerate(NAMES):
            write_tone(dataset / "audio" / "S 1" / f"{name}.wav", 6.0, number)
        run_typed(chunk, "orchestrate", dataset, "--chunk-duration", 3, "--apply")

    shutil.copytree(build_once(tmp_path_factory, "arrays", build), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "l'été; $(touch x)"


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """Returns a folder of programs that only write down what they were given."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("badc", "datalad", "scontrol"):
        write_program(folder / name, FAKE)
    monkeypatch.setenv("RECORDED", str(tmp_path / "recorded"))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def recorded() -> list[list[str]]:
    """Returns the commands run since the last call."""
    path = Path(os.environ["RECORDED"])
    text = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    return [one.removesuffix("\0").split("\0") for one in text.split("\0\n\0") if one]


def run_task(script: Path, index: int, code: int = 0, **variables: str) -> str:
    """Returns what a task prints, errors included."""
    job = {"SLURM_ARRAY_JOB_ID": "8077", "SLURM_ARRAY_TASK_ID": str(index)}
    env = {**os.environ, **job, **variables}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(["bash", script], env=env, **output, text=True, check=False)
    assert done.returncode == code, done.stdout
    return done.stdout


def typed(*words: object, code: int = 0) -> str:
    return run_typed(infer, "orchestrate", *words, code=code).output


def written(root: Path, *words: object) -> Path:
    """Returns the script of a dataset's plan."""
    typed(root, *ENERGY, "--sockeye-script", "run.sh", *words)
    return Path("run.sh")


def plan_of(root: Path, names: list[str], **order: object) -> InferPlan:
    """Returns a plan whose chunk files are complete, of recordings with any names."""
    entries = []
    for number, name in enumerate(names):
        folder = root / "chunks" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATUS_FILE).write_text('{"status": "completed"}')
        spec = RunSpec(
            manifests=(root / f"{name}.csv",),
            settings=Settings(),
            output=InferencePaths(root / "out"),
            telemetry_log=root / name / f"{number}.jsonl",
        )
        entries.append(InferEntry(name, replace(spec, **order), folder, sources=(folder,)))
    return InferPlan(root, Settings(), tuple(entries), ())


# ---- what it says


def golden(name: str, text: str, root: Path) -> None:
    expected = (GOLDEN / name).read_text(encoding="utf-8")
    assert text.replace(str(root), "/data/archive") == expected


@pytest.fixture
def archive(tmp_path) -> Path:
    for name in NAMES:
        write_tone(tmp_path / "archive" / "audio" / f"{name}.wav", 1.0)
    return tmp_path / "archive"


def test_the_least_script_is_as_in_the_golden_file(archive):
    text = render_infer_array(
        plan_of(archive, ["a", "b"]), ["--max-gpus", "1"], JOB, ArrayOutputs()
    )
    golden("infer_least.sh", text, archive)


def test_the_script_with_everything_is_as_in_the_golden_file(archive):
    (archive / ".datalad").mkdir()
    outputs = ArrayOutputs(True, "artifacts/aggregate", 30, "/scratch/$USER/badc")
    plan = plan_of(archive, ["a", "b"])
    golden(
        "infer_all.sh", render_infer_array(plan, ["--use-hawkears"], EVERYTHING, outputs), archive
    )


def test_the_script_that_cuts_is_as_in_the_golden_file(archive):
    (archive / ".datalad").mkdir()
    plan = plan_dataset(DatasetCut(archive, overlap_s=3.0, include_existing=True))
    golden("chunks.sh", render_chunk_array(plan, replace(JOB, job_name="badc-chunk")), archive)


# ---- what tasks run, whatever paths are called

HOSTILE = (
    *(
        "a b",
        "it's",
        'q"q',
        "; touch x",
        "$(touch x)",
        "`touch x`",
        "${HOME}",
        "\\",
        "é\u2019\u201c",
        "-x",
    ),
    *("%A", "*", "{a,b}", "#", "~", "!!", "then", "a=b", "&", "|", "a\tb", "'\"'", "\\n", "name]"),
)
names = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/\n\r"), min_size=1, max_size=20
).filter(lambda text: text not in {".", ".."})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    folder=names,
    recordings=st.lists(names, min_size=1, max_size=3, unique=True),
    words=st.lists(names, max_size=2),
    log_dir=st.none() | names,
)
def test_every_task_runs_just_the_commands_of_its_recording(
    tmp_path_factory, programs, folder, recordings, words, log_dir
):
    here = tmp_path_factory.mktemp("any")
    root = here / folder
    plan = plan_of(root, recordings)
    log_dir = None if log_dir is None else str(here / "logs") + "/" + log_dir.replace("$", "S")
    outputs = ArrayOutputs(True, folder, 60, log_dir or "")
    script = here / "script"
    script.write_text(render_infer_array(plan, ["--any", *words], JOB, outputs), newline="")
    subprocess.run(["bash", "-n", script], check=True)
    for number, name in enumerate(recordings):
        run_task(script, number + 1)
        run, aggregate, bundle = recorded()
        log = f"{name}/{number}.jsonl"
        if log_dir:
            log = f"{log_dir}/8077_{number + 1}/{number}.jsonl"
        assert run == [
            *("badc", "infer", "run", "--output-dir", f"out/{name}", "--telemetry-log", log),
            *("--dataset-root", ".", "--any", *words, "--", f"{name}.csv"),
        ]
        table = f"{folder}/{name}"
        assert aggregate[5:] == [
            *("--parquet", f"{table}.parquet", "--output", f"{table}_summary.csv"),
            *("--manifest", f"{name}.csv", "--", f"out/{name}"),
        ]
        expected = ["badc", "report", "bundle", "--parquet", f"{table}.parquet"]
        assert bundle == [*expected, "--bucket-minutes", "60"]
    assert {path.name for path in here.iterdir()} <= {folder, "script", "logs"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=names, recordings=st.lists(names, min_size=1, max_size=3, unique=True))
def test_every_task_cuts_just_its_recording(tmp_path_factory, programs, folder, recordings):
    root = tmp_path_factory.mktemp("any") / folder
    for name in recordings:
        sound = root / "audio" / f"S{name}" / "-.wav"  # hidden folders are not scanned
        sound.parent.mkdir(parents=True)
        sound.touch()
    plan = plan_dataset(DatasetCut(root, overlap_s=3.0, manifest_dir=Path("-m")))
    script = root.parent / "script"
    script.write_text(render_chunk_array(plan, JOB), newline="")
    for number, entry in enumerate(plan.entries()):
        run_task(script, number + 1)
        ((*words,),) = recorded()
        assert words == [
            *("badc", "chunk", "run", "--chunk-duration", "60", "--overlap", "3"),
            *("--output-dir", entry["chunk_output_dir"], "--manifest", entry["manifest_path"]),
            *("--", entry["audio_path"]),
        ]
    assert len(plan.places) == len(recordings)


def test_shellcheck_finds_nothing_whatever_paths_are_called(tmp_path):
    if not shutil.which("shellcheck"):
        lacking("shellcheck")
    root = tmp_path / "".join(HOSTILE[:6])
    (root / ".datalad").mkdir(parents=True)
    plan = plan_of(root, list(HOSTILE))
    script = tmp_path / "script.sh"
    for outputs in (ArrayOutputs(), ArrayOutputs(True, "a'b", 60, "/s/$USER/${X}/$(y)/`z`")):
        script.write_text(render_infer_array(plan, HOSTILE, EVERYTHING, outputs))
        found = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert found.stdout == ""
    for number, name in enumerate(HOSTILE):
        write_tone(root / "audio" / name / f"{number}.wav", 0.1)
    script.write_text(render_chunk_array(plan_dataset(DatasetCut(root)), EVERYTHING))
    found = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert found.stdout == ""


@pytest.mark.parametrize("name", ["a\nb", "a\rb"])
def test_a_path_with_a_line_break_is_refused(tmp_path, name):
    with pytest.raises(ConfigInvalid, match="line break"):
        render_infer_array(plan_of(tmp_path, [name]), [], JOB, ArrayOutputs())
    with pytest.raises(ConfigInvalid, match="line break"):
        render_infer_array(plan_of(tmp_path / name, ["a"]), [], JOB, ArrayOutputs())


def test_a_path_that_is_not_utf_8_is_refused(tmp_path):
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        render_infer_array(plan_of(tmp_path / "\udce9", ["a"]), [], JOB, ArrayOutputs())


# ---- what is left out, guarded and fetched


def test_a_task_refuses_chunk_files_without_a_status_with_2_and_unfinished_ones_with_3(
    root, programs
):
    script = written(root)
    (root / "artifacts/chunks/a" / STATUS_FILE).unlink()
    shown = run_task(script, 1, 2)
    assert "artifacts/chunks/a/.chunk_status.json: there is no such file" in shown
    assert "or make this script with --allow-partial-chunks" in shown
    status = root / "artifacts/chunks/b" / STATUS_FILE
    for spoilt in ('"in_progress"', '"failed", "error": "\\"status\\": \\"completed\\""'):
        whole = (root / "artifacts/chunks/c" / STATUS_FILE).read_text()
        status.write_text(whole.replace('"completed"', spoilt))
        assert "artifacts/chunks/b/.chunk_status.json: not completed" in run_task(script, 2, 3)
    assert recorded() == []
    run_task(script, 3)
    assert len(recorded()) == 1


def test_incomplete_chunk_files_are_run_where_that_is_allowed(root, programs):
    script = written(root, "--allow-partial-chunks")
    (root / "artifacts/chunks/a" / STATUS_FILE).unlink()
    run_task(script, 1)
    ((*words,),) = recorded()
    assert "--allow-partial-chunks" in words


def test_ranges_of_a_recording_need_no_status(root, programs):
    shutil.rmtree(root / "artifacts/chunks")
    for name in NAMES:
        manifest = root / f"manifests/{name}.csv"
        manifest.unlink()
        sound = root / "audio/S 1" / f"{name}.wav"
        run_typed(chunk, "manifest", sound, "--chunk-duration", 3, "--output", manifest)
    run_task(written(root), 1)
    assert len(recorded()) == 1


def test_chunk_files_of_the_original_are_guarded_too(tmp_path):
    plan = plan_of(tmp_path, ["a"])
    (entry,) = plan.entries
    sound = entry.chunk_folder / "a_chunk_0_3000.wav"
    sound.touch()
    one = replace(plan, entries=(replace(entry, sources=(sound,)),))
    text = render_infer_array(one, [], JOB, ArrayOutputs())
    assert "CHUNK_STATUS=(\n  'chunks/a/.chunk_status.json'\n)" in text


def test_what_cannot_be_run_is_said_and_not_in_the_script(root):
    status = root / "artifacts/chunks/b" / STATUS_FILE
    status.write_text(status.read_text().replace("completed", "in_progress", 1))
    assert "chunk files of b" in typed(root, *ENERGY, "--sockeye-script", "run.sh")
    text = Path("run.sh").read_text()
    assert "--array=1-2" in text
    assert "manifests/b.csv" not in text


def test_without_anything_to_do_there_is_no_script(root):
    typed(root, *ENERGY, "--apply")
    Path("run.sh").write_text("of before")
    shown = typed(root, *ENERGY, "--sockeye-script", "run.sh")
    assert "Nothing to do." in shown
    assert "there is no run.sh: no recording is left for its tasks" in shown
    assert not Path("run.sh").exists()


def test_recordings_that_cannot_be_run_take_no_place_of_the_limit(root):
    (root / "manifests/a.csv").write_text("none")
    text = written(root, "--limit", "1").read_text()
    assert "--array=1-1\n" in text
    assert "manifests/b.csv" in text


def test_more_tasks_than_most_clusters_allow_are_warned_of(tmp_path, capsys):
    options = InferArrayOptions(sockeye_script=tmp_path / "s")
    options.write(1000, str, Output(), None)
    assert not capsys.readouterr().err
    options.write(1001, str, Output(), None)
    assert "if sbatch refuses the script, give --limit 1000" in capsys.readouterr().err


def test_chunk_files_without_a_status_are_warned_of(root):
    for name in NAMES[:2]:
        (root / "artifacts/chunks" / name / STATUS_FILE).unlink()
    said = "tasks refuse 2 recordings with exit code 2"
    assert said in typed(root, *ENERGY, "--sockeye-script", "s")
    partial = typed(root, *ENERGY, "--sockeye-script", "s", "--allow-partial-chunks")
    assert said not in partial
    assert said not in typed(root, *ENERGY)


def test_datalad_fetches_what_a_task_reads_and_only_in_its_dataset(root, programs):
    run_task(written(root), 1)
    assert [words[0] for words in recorded()] == ["badc"]
    (root / ".datalad").mkdir()
    (root / "artifacts/chunks/b" / STATUS_FILE).unlink()
    script = written(root)
    run_task(script, 1)
    status = "artifacts/chunks/a/.chunk_status.json"
    expected = ["datalad", "get", "--", "manifests/a.csv", "artifacts/chunks/a", status]
    assert recorded()[0] == expected
    run_task(script, 2, 2)  # a status that is nowhere is not asked for
    assert recorded() == [[*expected[:3], "manifests/b.csv", "artifacts/chunks/b"]]
    (programs / "datalad").unlink()
    run_task(script, 1, PATH=f"{programs}:/usr/bin:/bin")
    assert [words[0] for words in recorded()] == ["badc"]
    run_typed(chunk, "orchestrate", root, "--include-existing", "--sockeye-script", "cut.sh")
    write_program(programs / "datalad", FAKE)
    run_task(Path("cut.sh"), 1)
    assert recorded()[0] == ["datalad", "get", "--", "audio/S 1/a.wav"]


@pytest.mark.usefixtures("programs")
def test_the_note_of_a_task_is_hidden_from_version_control(root):
    script = written(root)
    shutil.rmtree(root / ".badc", ignore_errors=True)
    subprocess.run(["git", "init", "-q", root], check=True)
    run_task(script, 1)
    assert (root / ".badc/array_tasks/8077_1").read_text().splitlines()[::2] == ["a", "0"]
    ignored = ["git", "-C", root, "status", "--porcelain", "--", ".badc"]
    assert subprocess.run(ignored, check=True, capture_output=True).stdout == b""


def test_a_task_number_that_is_none_of_the_array_is_refused(root, programs):
    script = written(root)
    for number in (0, 4):
        assert f"the tasks are 1 to 3, there is no {number}" in run_task(script, number, 64)
    assert recorded() == []


# ---- time, telemetry and failures


def stop_task(script: Path, sent: signal.Signals, begun: Path, **variables: str) -> tuple[int, str]:
    """Returns how a task ends that is sent a signal once there is a file, and what it says."""
    env = {**os.environ, "SLURM_ARRAY_TASK_ID": "2", **variables}
    with subprocess.Popen(
        ["bash", script], env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as task:
        try:
            wait_until(begun.exists)
            task.send_signal(sent)
            _, errors = task.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):  # all of them have ended
                os.killpg(task.pid, signal.SIGKILL)
    return task.returncode, errors


@pytest.mark.parametrize(
    ("sent", "variables", "code", "after"),
    [
        (signal.SIGUSR1, {}, 75, "scontrol\0requeue\08077_2"),
        (signal.SIGUSR1, {"SLURM_RESTART_COUNT": "2"}, 75, "scontrol\0requeue\08077_2"),
        (signal.SIGUSR1, {"SLURM_RESTART_COUNT": "3"}, 75, ""),
        (signal.SIGTERM, {}, 143, ""),
    ],
)
def test_a_task_whose_time_is_over_stops_badc_and_goes_back_into_the_queue(
    root, programs, sent, variables, code, after
):
    write_program(programs / "badc", BUSY)
    script = written(root, "--sockeye-bundle")
    record = Path(os.environ["RECORDED"])
    ended, errors = stop_task(script, sent, record, SLURM_ARRAY_JOB_ID="8077", **variables)
    assert ended == code
    text = record.read_text()
    assert text.startswith("begun\nstopped\n")
    assert text.removeprefix("begun\nstopped\n").removesuffix("\0\n\0") == after
    assert ("out of time" in errors) == (sent == signal.SIGUSR1)


def test_a_task_whose_time_is_over_while_it_fetches_runs_nothing(root, programs):
    (root / ".datalad").mkdir()
    write_program(programs / "datalad", BUSY)
    record = Path(os.environ["RECORDED"])
    ended, _ = stop_task(written(root), signal.SIGUSR1, record, SLURM_RESTART_COUNT="3")
    assert ended == 75
    assert record.read_text() == "begun\nstopped\n"


def test_a_task_that_ends_well_in_spite_of_the_signal_is_done(root, programs):
    patient = BUSY.replace("exit 143", "exit 0")
    write_program(programs / "badc", patient)
    record = Path(os.environ["RECORDED"])
    assert stop_task(written(root), signal.SIGUSR1, record) == (0, "")


def test_a_failure_of_badc_is_that_of_the_task_and_is_followed_by_no_bundle(root, programs):
    write_program(programs / "badc", FAKE + "exit 1\n")
    run_task(written(root, "--sockeye-bundle"), 1, 1)
    assert [words[:3] for words in recorded()] == [["badc", "infer", "run"]]


TELEMETRY = "artifacts/telemetry/infer/a.jsonl"
LOGGING = """\
#!/bin/bash
while [[ "$1" != --telemetry-log ]]; do shift; done
echo "$2" >>"$RECORDED"
echo more >>"$2"
echo '{}' >"$2.summary.json"
exit "${FAILING:-0}"
"""


def test_telemetry_in_a_folder_of_the_node_goes_on_and_is_copied_back(root, programs, tmp_path):
    write_program(programs / "badc", LOGGING)
    script = written(root, "--sockeye-log-dir", "$SCRATCH/it's ${WHOSE}/$(touch y)")
    scratch = {"SCRATCH": str(tmp_path / "scr"), "WHOSE": "a b"}
    (root / TELEMETRY).parent.mkdir(parents=True)
    (root / TELEMETRY).write_text("before\n")
    (root / TELEMETRY).chmod(0o444)
    run_task(script, 1, **scratch)
    run_task(script, 1, 1, FAILING="1", **scratch)
    log = tmp_path / "scr/it's a b/$(touch y)/8077_1/a.jsonl"
    assert Path(os.environ["RECORDED"]).read_text().splitlines() == [str(log)] * 2
    assert (root / TELEMETRY).read_text() == log.read_text() == "before\nmore\nmore\n"
    assert log.stat().st_mode & stat.S_IWUSR
    assert (root / f"{TELEMETRY}.summary.json").read_text() == "{}\n"
    assert not [*(root / TELEMETRY).parent.glob("*.part")]
    assert "SCRATCH" in run_task(script, 1, 1)  # no such variable


def test_a_relative_log_folder_begins_at_the_dataset(root, programs, tmp_path):
    write_program(programs / "badc", LOGGING)
    run_task(written(root, "--sockeye-log-dir", "-logs"), 1)
    assert (root / "-logs/8077_1/a.jsonl").read_text() == "more\n"
    assert not (tmp_path / "-logs").exists()


def test_datasets_that_share_a_folder_of_the_node_do_not_mix_their_telemetry(root, programs):
    write_program(programs / "badc", LOGGING)
    other = root.with_name("other")
    shutil.copytree(root, other)
    shared = ("--sockeye-log-dir", root.parent / "scratch")
    run_task(written(root, *shared), 1, SLURM_ARRAY_JOB_ID="1")
    script = written(other, *shared)
    run_task(script, 1, SLURM_ARRAY_JOB_ID="2")
    assert (other / TELEMETRY).read_text() == "more\n"
    shutil.rmtree(other / "artifacts/telemetry")  # to start anew
    run_task(script, 1, SLURM_ARRAY_JOB_ID="3")
    assert (other / TELEMETRY).read_text() == "more\n"
    run_task(script, 1, SLURM_ARRAY_JOB_ID="3", SLURM_RESTART_COUNT="1")
    assert (other / TELEMETRY).read_text() == "more\n" * 2


def test_annexed_telemetry_is_fetched_and_never_replaced_where_that_is_impossible(root, programs):
    (root / ".datalad").mkdir()
    (root / TELEMETRY).parent.mkdir(parents=True)
    for ending in ("", ".summary.json"):
        (root / f"{TELEMETRY}{ending}").symlink_to("elsewhere")
    shown = run_task(written(root, "--sockeye-log-dir", "logs"), 1, 1)
    ((*words,),) = recorded()
    assert words[-2:] == [TELEMETRY, f"{TELEMETRY}.summary.json"]
    assert f"{TELEMETRY}: its content is not here; run datalad get" in shown
    assert (root / TELEMETRY).is_symlink()
    run_task(written(root, "--sockeye-resume-completed"), 1)
    assert "--resume-summary" in recorded()[1]  # badc fetches it, or says that it cannot


def test_telemetry_that_cannot_be_copied_back_changes_no_exit_code_of_badc(root, programs):
    write_program(programs / "badc", LOGGING)
    script = written(root, "--sockeye-log-dir", "logs")
    (root / "artifacts/telemetry").write_text("in the way")
    assert "a.jsonl: cannot be copied into the dataset" in run_task(script, 1, 7, FAILING="7")
    assert "a.jsonl.summary.json: cannot be copied" in run_task(script, 1, 1)
    (root / "artifacts/telemetry").unlink()
    run_task(script, 1)
    assert (root / TELEMETRY).read_text() == "more\n" * 3


def test_half_copied_telemetry_is_hidden_from_version_control(root, programs):
    write_program(programs / "badc", LOGGING)
    write_program(programs / "mv", "#!/bin/bash\nexit 1\n")
    run_task(written(root, "--sockeye-log-dir", "logs"), 1, 1)
    assert not [one for one in (root / TELEMETRY).parent.iterdir() if one.name[0] != "."]


def test_an_earlier_summary_is_taken_up_only_where_it_is_asked_for_and_there(root, programs):
    asked = written(root, "--sockeye-resume-completed")
    assert "Resume: there is no artifacts/telemetry/infer/a.jsonl.summary" in run_task(asked, 1)
    summary = f"{TELEMETRY}.summary.json"
    (root / summary).parent.mkdir(parents=True)
    (root / summary).write_text('{"jobs": {}}')
    shown = run_task(asked, 1)
    assert f"Resume: what succeeded according to {summary} is skipped" in shown
    first, second = recorded()
    assert "--resume-summary" not in first
    assert second[second.index("--resume-summary") + 1] == summary
    (root / summary).unlink()
    run_task(written(root), 1)
    assert "--resume-summary" not in recorded()[0]


# ---- the whole, with the real badc


def detections(folder: Path) -> dict[str, list[object]]:
    """Returns path -> what was found, of every chunk's file below the folder for results."""
    found = (folder / "artifacts/infer").rglob("*.json")
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text())["detections"]
        for path in found
    }


def test_telemetry_is_not_counted_twice_where_it_is_taken_up_in_a_folder_of_the_node(
    root, monkeypatch
):
    monkeypatch.setenv("PATH", f"{BADC.parent}:{os.environ['PATH']}")
    script = written(root, "--sockeye-resume-completed", "--sockeye-log-dir", "logs")
    summary = root / f"{TELEMETRY}.summary.json"
    shown = [run_task(script, 1, SLURM_ARRAY_JOB_ID=job) for job in ("1", "2")]
    jobs = json.loads(summary.read_text())["jobs"]
    assert [one["attempts"] for one in jobs.values()] == [1, 1]
    (workers,) = json.loads(summary.read_text())["workers"].values()
    assert workers["success"] == 2
    assert f"according to {TELEMETRY}.summary.json is skipped" in shown[1]
    assert "2 skipped" in shown[1]


def test_a_summary_that_badc_does_not_leave_is_not_named(root, monkeypatch):
    monkeypatch.setenv("PATH", f"{BADC.parent}:{os.environ['PATH']}")
    script = written(root)
    assert f"Telemetry summary: {TELEMETRY}.summary.json" in run_task(script, 1)
    shutil.rmtree(root / "artifacts/telemetry")
    assert "Telemetry summary" not in run_task(script, 1)


@pytest.mark.soak
def test_both_arrays_do_what_apply_does_and_all_their_tables_are_summed_up(root, monkeypatch):
    monkeypatch.setenv("PATH", f"{BADC.parent}:{os.environ['PATH']}")
    for folder in ("artifacts", "manifests", ".badc"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for file in ("recordings.csv", "audio/S 1/c.wav"):
        (root / file).unlink()
    names, at_once = ("a", "b"), root.with_name("at once")
    shutil.copytree(root, at_once)
    run_typed(chunk, "orchestrate", at_once, "--chunk-duration", 3, "--apply")
    typed(at_once, *ENERGY, "--apply")
    cut = ("--chunk-duration", 3, "--sockeye-script", "cut.sh")
    assert "Slurm script: cut.sh" in run_typed(chunk, "orchestrate", root, *cut).output
    assert (root / "recordings.csv").exists()
    for number in range(len(names)):
        run_task(Path("cut.sh"), number + 1)
    where = ("--sockeye-bundle-aggregate-dir", "tables")
    width = ("--sockeye-bundle-bucket-minutes", "7")
    script = written(root, "--sockeye-bundle", *where, *width)
    assert "--bucket-minutes 7)" in script.read_text()
    shown = "".join(run_task(script, number + 1) for number in range(len(names)))
    assert "Database: tables/b.duckdb" in shown
    assert detections(root) == detections(at_once)
    assert sorted({one.rpartition("/")[0] for one in detections(root)}) == [
        f"artifacts/infer/{name}" for name in names
    ]
    for name in names:
        for ending in ("_summary.csv", ".parquet", ".duckdb"):
            assert (root / "tables" / f"{name}{ending}").is_file()
    (root / "tables/a.parquet").rename(root / "tables/x_detections.parquet")
    run_typed(reports, "aggregate-dir", root / "tables", "--export-dir", "sum")
    rows = Path("sum/recording_summary.csv").read_text().splitlines()[1:]
    assert sorted(row.partition(",")[0] for row in rows) == list(names)
    assert "Nothing to do." in typed(root, *ENERGY)


def test_a_task_that_ran_out_of_time_goes_on_from_the_chunks_it_has(
    root, monkeypatch, install_detector
):
    site = install_detector("slow", held_detector("a_chunk_0_3000"))
    monkeypatch.setenv("PATH", f"{BADC.parent}:{os.environ['PATH']}")
    typed(root, "--detector", "slow", "--cpu-workers", 1, "--sockeye-script", "run.sh")
    first = root / "artifacts/infer/a/a_chunk_0_3000.json"
    late = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_RESTART_COUNT": "3"}
    code, errors = stop_task(Path("run.sh"), signal.SIGUSR1, first, **late)
    assert code == 75
    assert "submit the script again to go on" in errors
    (site / "go").touch()
    assert "chunks: 1 ok, 0 failed, 1 skipped" in run_task(Path("run.sh"), 1)


# ---- options


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--sockeye-script", "s", "--apply"), "--sockeye-script: excludes --apply"),
        (("--sockeye-script", "s", "--print-datalad-run"), "excludes --print-datalad-run"),
        (("--sockeye-bundle",), "--sockeye-bundle: needs --sockeye-script"),
        (("--sockeye-cpus-per-task", 2), "--sockeye-cpus-per-task: needs --sockeye-script"),
        (("--sockeye-script", "s", "--sockeye-account", "a b"), "--sockeye-account: 'a b' has"),
        (("--sockeye-script", "s", "--sockeye-mem", "8G\n#"), "--sockeye-mem: '8G\\n#' has"),
        (("--sockeye-script", "s", "--sockeye-gres", "'"), '--sockeye-gres: "\'" has'),
        (
            ("--sockeye-script", "s", "--sockeye-log-dir", "~/logs"),
            "--sockeye-log-dir: write '$HOME' in place of ~",
        ),
        (
            ("--sockeye-script", "s", "--sockeye-log-dir", "l", "--record-datalad"),
            "--sockeye-log-dir: excludes --record-datalad",
        ),
        (
            ("--sockeye-script", "s", "--sockeye-resume-completed", "--no-resume-completed"),
            "--sockeye-resume-completed: excludes --no-resume-completed",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(root, words, complaint):
    outcome = run_typed(infer, "orchestrate", root, *ENERGY, *words, code=2)
    assert complaint in " ".join(outcome.stderr.replace("│", " ").split())
    assert not Path("s").exists()


def test_what_the_options_ask_for_is_in_the_script(root):
    words = ("--sockeye-job-name", "birds", "--sockeye-account", "st-owl-1")
    words += ("--sockeye-partition", "gpu,gpu-long", "--sockeye-gres", "gpu:1")
    words += ("--sockeye-time", "04:00:00", "--sockeye-cpus-per-task", 4, "--sockeye-mem", "16G")
    lines = written(root, *words).read_text().splitlines()
    assert lines[1:12] == [*EVERYTHING.directives(3)]
    assert InferArrayOptions().job() == JOB


@pytest.mark.parametrize(
    ("time", "is_short"),
    [
        *(("2", True), ("2:00", True), ("00:02:00", True), ("0-0", False), ("0-00:01", True)),
        *(("3", False), ("2:01", False), ("00:02:01", False), ("1-0", False), ("0-00:03", False)),
        *(("0-1", False), ("", False)),
    ],
)
def test_a_time_in_which_tasks_would_stop_at_once_is_warned_of(root, time, is_short):
    said = run_typed(
        infer, "orchestrate", root, *ENERGY, "--sockeye-script", "s", "--sockeye-time", time
    )
    assert ("tasks stop as soon as they start" in said.stderr) is is_short


def test_a_number_after_a_dollar_is_no_variable():
    assert expand_variables("$A/run$5/${6}/$_b") == """"${A}"'/run$5/${6}/'"${_b}\""""


def test_a_script_of_chunks_that_tasks_would_commit_is_refused(root):
    words = ("--include-existing", "--sockeye-script", "s", "--record-datalad")
    errors = run_typed(chunk, "orchestrate", root, *words, code=2).stderr
    assert "excludes --record-datalad" in errors


def test_that_tasks_do_not_commit_is_said_where_other_commands_do(root):
    script, said = ("--sockeye-script", "s"), "Tasks do not commit: type datalad save"
    cut = ("orchestrate", root, "--include-existing", *script)
    assert said not in typed(root, *ENERGY, *script)
    (root / ".datalad").mkdir()
    assert said in typed(root, *ENERGY, *script)
    assert said in run_typed(chunk, *cut).output
    for option in ("--record-datalad", "--no-record-datalad"):
        assert said not in typed(root, *ENERGY, *script, option)
    assert said not in run_typed(chunk, *cut, "--no-record-datalad").output
    (root / ".datalad").rmdir()
    (root / "badc.toml").write_text('[datalad]\nrecord = "require"\n')
    assert said in typed(root, *ENERGY, *script)


def test_a_table_of_badc_run_is_not_replaced(root, monkeypatch):
    monkeypatch.setattr("badc_core.cli.orchestrate_inference.is_of_an_asset", lambda _: True)
    words = (*ENERGY, "--sockeye-script", "s", "--sockeye-bundle")
    errors = run_typed(infer, "orchestrate", root, *words, code=2).stderr
    assert "must be another folder" in errors
