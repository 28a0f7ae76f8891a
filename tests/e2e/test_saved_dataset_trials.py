"""Saved datasets under trial: runs killed at any moment, hostile names, saves during a run."""

import json
import os
import signal
import subprocess
import time
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.archives import run_in
from support.commands import BADC
from support.saved_datasets import (
    SETTINGS,
    require_unharmed,
    run_badc,
    save,
    stored,
    tracked,
)
from support.sounds import write_tone

pytestmark = pytest.mark.soak

N_KILLS = 5
N_RECORDINGS = 4

HOSTILE = (
    "with space",
    "quote'and\"quote",
    "semi;colon $(touch evil) `touch evil`",
    unicodedata.normalize("NFC", "été"),
    unicodedata.normalize("NFD", "Düne"),
    "-leading dash",
    "star*[a-z]?",
    "back\\slash {0}",
    "#comment !not",
)


def make_dataset(root: Path, files: list[str]) -> Path:
    """Returns a DataLad dataset with recordings, all saved."""
    root.parent.mkdir(parents=True, exist_ok=True)
    run_in(root.parent, "datalad", "create", f"./{root.name}")
    for number, name in enumerate(files):
        write_tone(root / "audio" / name, 12.0, number)
    (root / "badc.toml").write_text(SETTINGS, encoding="utf-8")
    save(root)
    return root


def start(home: Path, *words: object) -> subprocess.Popen[bytes]:
    """Starts a `badc` command, in a process group of its own."""
    env = {**os.environ, "DAGSTER_HOME": str(home)}
    return subprocess.Popen(
        [BADC, *map(str, words)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def results(root: Path) -> dict[str, list[dict[str, object]]]:
    """Returns all detections."""
    tables = (root / "artifacts" / "aggregate").glob("[!.]*.parquet")
    return {path.name: pq.read_table(path).to_pylist() for path in tables}


def without_run(found: dict[str, list[dict[str, object]]]) -> dict[str, list[dict[str, object]]]:
    """Returns detections without what differs between two runs."""
    return {
        name: [{key: value for key, value in row.items() if key != "run_id"} for row in rows]
        for name, rows in found.items()
    }


def test_a_run_killed_at_any_moment_leaves_a_dataset_that_can_be_saved(tmp_path):
    root = make_dataset(tmp_path / "ds", [f"rec_{n}.wav" for n in range(N_RECORDINGS)])
    home = tmp_path / "home"
    started_s = time.monotonic()
    run_badc(home, "run", root)
    whole_s = time.monotonic() - started_s
    save(root)
    for number in range(N_KILLS):
        before = stored(root)
        # Every second time the model has to run again, else only what follows it.
        changed = ("--set", f"chunks.duration_s={4 + number}") if number % 2 else ()
        process = start(home, "run", root, "--min-score", 0.1 + number / 50, *changed)
        time.sleep(whole_s * (number + 1) / (N_KILLS + 1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        require_unharmed(root, before)
        save(root)
    run_badc(home, "run", root, "--min-score", 0.25)
    save(root)
    run_in(root, "git", "annex", "fsck", "--quiet", "--all")
    undisturbed = make_dataset(
        tmp_path / "other" / "ds", [f"rec_{n}.wav" for n in range(N_RECORDINGS)]
    )
    run_badc(tmp_path / "other_home", "run", undisturbed, "--min-score", 0.25)
    assert without_run(results(root)) == without_run(results(undisturbed))
    assert not [path for path in tracked(root) if ".badc" in path or path.endswith(".part")]


def test_hostile_names_are_names(tmp_path):
    files = [f"{folder}/{name}.wav" for folder, name in zip(HOSTILE, HOSTILE[::-1], strict=True)]
    root = make_dataset(tmp_path / "da 'ta' \"set\"; $(touch evil) é -", files)
    home = tmp_path / "home"
    first = run_badc(home, "run", root, as_root=False)
    assert f"{len(files)} of {len(files)} recordings complete" in first.stdout
    save(root)
    before = stored(root)
    run_badc(home, "run", root, "--min-score", 0.3, as_root=False)
    run_badc(home, "chunk", "orchestrate", root, "--chunk-duration", 5, "--apply", as_root=False)
    run_badc(home, "infer", "orchestrate", root, "--min-score", 0.4, "--apply", as_root=False)
    require_unharmed(root, before)
    save(root)
    assert not list(tmp_path.rglob("evil"))
    assert not list(Path.cwd().glob("evil"))


def test_a_save_by_somebody_else_during_a_run_takes_nothing_half_written(tmp_path):
    root = make_dataset(tmp_path / "ds", [f"rec_{n}.wav" for n in range(N_RECORDINGS)])
    home = tmp_path / "home"
    run_badc(home, "run", root)
    before = stored(root)
    process = start(home, "run", root, "--set", "chunks.duration_s=4", "--min-score", 0.3)
    n_saves = 0
    while process.poll() is None:
        # It may find that a file is gone again; what it takes is the question.
        words = ["datalad", "save", "-m", "In the middle"]
        subprocess.run(words, cwd=root, capture_output=True, check=False)
        n_saves += 1
    assert process.returncode == 0
    assert n_saves > 1
    save(root)
    require_unharmed(root, before)
    run_in(root, "git", "annex", "fsck", "--quiet", "--all")
    require_whole_texts(root)
    again = run_badc(home, "run", root, "--set", "chunks.duration_s=4", "--min-score", 0.3)
    assert "Nothing to do" in again.stdout


def require_whole_texts(root: Path) -> None:
    """Returns if no commit has work in progress, or a text in git that is not whole."""
    seen = set()
    for commit in run_in(root, "git", "rev-list", "HEAD").split():
        for line in run_in(root, "git", "ls-tree", "-r", "-z", commit).split("\0")[:-1]:
            kind, _, path = line.partition("\t")
            mode, _, content = kind.split()
            assert ".badc/" not in path
            assert not path.endswith(".part")
            if mode == "100644" and path.endswith((".json", ".jsonl")) and content not in seen:
                seen.add(content)
                text = run_in(root, "git", "cat-file", "blob", content)
                for one in text.splitlines() if path.endswith(".jsonl") else [text]:
                    assert isinstance(json.loads(one), dict), path
