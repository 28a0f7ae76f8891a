"""A run that is killed or interrupted in the middle of detections: the next one finishes it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.commands import BADC
from support.processes import worker_command_lines
from support.telemetry import read_events
from support.waiting import wait_until

from badc_core.datasets.dataset import Dataset

N_RECORDINGS = 6

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@pytest.fixture
def recordings(tmp_path, field_audio) -> Path:
    """Returns a dataset of two-minute recordings, enough to be stopped in the middle of."""
    root = tmp_path / "stopped" / "dataset"
    (root / "audio" / "S1").mkdir(parents=True)
    for number in range(N_RECORDINGS):
        shutil.copyfile(field_audio / "soundscape.flac", root / f"audio/S1/rec_{number}.flac")
    return root


@pytest.fixture
def environ(environment, tmp_path, lacking) -> dict[str, str]:
    """Returns the environment of the `badc` fixture, to start the command without waiting."""
    if not Path("/proc/self/environ").exists():
        lacking("/proc, to look for processes left behind")
    return {**environment, "DAGSTER_HOME": str(tmp_path / "dagster_home")}


def workers(environ: dict[str, str]) -> list[str]:
    """Returns the command lines of workers that use this test's Dagster home."""
    return worker_command_lines(f"DAGSTER_HOME={environ['DAGSTER_HOME']}\0")


def stop_in_the_middle(
    root: Path,
    environ: dict[str, str],
    how: signal.Signals,
    *options: str,
    on_ctrl_c: signal.Handlers = signal.SIG_DFL,
):
    """Returns exit code and output of a run that got a signal after its first new result."""
    before = raw_results(root)
    process = subprocess.Popen(
        [BADC, "run", root, *options],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Ignored signals are inherited; no thread runs yet.
        preexec_fn=lambda: signal.signal(signal.SIGINT, on_ctrl_c),  # noqa: PLW1509
    )
    try:
        wait_until(lambda: raw_results(root) != before or process.poll() is not None)
        assert workers(environ)
        # Ctrl-C goes to all processes of a terminal.
        (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert before or 0 < len(raw_results(root)) < N_RECORDINGS, output
    return process.returncode, output


def raw_results(root: Path) -> dict[str, bytes]:
    """Returns all files of raw detections, which the workers' step writes."""
    return contents(root, Dataset.open(root).raw_detections("x").parent)


def results(root: Path) -> dict[str, bytes]:
    """Returns all detections and effort files."""
    dataset = Dataset.open(root)
    return contents(root, dataset.detections("x").parent, dataset.effort("x").parent)


def contents(root: Path, *folders: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("[!.]*.parquet")
    }


def chunks_in_journals(root: Path) -> int:
    """Returns how many chunks are known of recordings that are not finished."""
    journals = (root / ".badc" / "journals").glob("*.jsonl")
    return sum(len(path.read_text().splitlines()) for path in journals)


def successes(root: Path) -> int:
    """Returns how often a chunk was analysed well, in all runs."""
    logs = (root / "artifacts" / "telemetry" / "infer").glob("*.jsonl")
    events = [event for log in logs for event in read_events(log)]
    return sum(event["status"] == "success" for event in events)


def test_after_a_kill_the_next_run_ends_as_if_nothing_had_happened(
    recordings, environ, badc, tmp_path
):
    undisturbed = tmp_path / "undisturbed" / "dataset"
    shutil.copytree(recordings, undisturbed)

    code, _ = stop_in_the_middle(recordings, environ, signal.SIGKILL)
    assert code == -signal.SIGKILL
    wait_until(lambda: workers(environ) == [], 20)
    kept = raw_results(recordings)

    finished = badc("run", recordings)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{N_RECORDINGS} of {N_RECORDINGS} recordings complete, 0 failed" in finished.stdout
    assert badc("run", undisturbed).returncode == 0
    after = results(recordings)
    assert len(after) == 2 * N_RECORDINGS
    raw = raw_results(recordings)
    assert {name: raw[name] for name in kept} == kept
    assert after == results(undisturbed)


@pytest.mark.parametrize(
    ("how", "on_ctrl_c", "exit_code"),
    [
        (signal.SIGINT, signal.SIG_DFL, 130),
        # As in the background of a script, where Ctrl-C is ignored.
        (signal.SIGTERM, signal.SIG_IGN, 143),
    ],
)
def test_ctrl_c_and_sigterm_end_a_run_at_once_and_the_next_one_goes_on(
    recordings, environ, badc, how, on_ctrl_c, exit_code
):
    code, output = stop_in_the_middle(recordings, environ, how, on_ctrl_c=on_ctrl_c)
    assert code == exit_code, output
    assert "What was finished is kept" in output
    for noise in ("Traceback", "Fatal", "Error", "corpus"):
        assert noise not in output, output
    wait_until(lambda: workers(environ) == [], 20)
    kept = raw_results(recordings)
    journaled = chunks_in_journals(recordings)
    status = badc("status", recordings)
    assert (status.returncode, "failed:" in status.stderr) == (0, False), status.stderr

    finished = badc("run", recordings)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{N_RECORDINGS} of {N_RECORDINGS} recordings complete" in finished.stdout
    after = results(recordings)
    assert len(after) == 2 * N_RECORDINGS
    raw = raw_results(recordings)
    assert {name: raw[name] for name in kept} == kept
    assert chunks_in_journals(recordings) == 0
    done_again = successes(recordings) - sum(
        len(pq.read_table(path)) for path in (recordings / "artifacts/effort").glob("*.parquet")
    )
    assert done_again == 0, journaled


def test_results_a_killed_run_made_under_other_settings_do_not_stay(recordings, environ, badc):
    assert badc("run", recordings).returncode == 0
    before = results(recordings)
    code, _ = stop_in_the_middle(recordings, environ, signal.SIGKILL, "--min-score", "0.01")
    assert code == -signal.SIGKILL
    wait_until(lambda: workers(environ) == [], 20)

    assert badc("run", recordings).returncode == 0
    assert results(recordings) == before
    assert "Nothing to do" in badc("run", recordings).stdout
