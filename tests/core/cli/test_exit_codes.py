"""Exit codes: 2 for what can never be typed so, 1 for whatever else keeps work from being done."""

import shutil

import pytest
from support.built_once import build_once
from support.commands import run_badc
from support.sounds import write_tone

A = "audio/a.wav"
TABLE = ("--parquet", "a.parquet")

USAGE = [
    ("bogus",),
    ("run", ".", "--bogus"),
    ("run",),
    ("run", ".", "--min-score", "25"),
    ("run", ".", "--detector", "bogus"),
    ("run", ".", "--set", "bogus"),
    ("run", ".", "--record-datalad", "--set", "datalad.record=off"),
    ("scan",),
    ("pipeline", "run", ".", "--no-bundle"),
    ("chunk", "split", A, "--chunk-duration", "0"),
    ("chunk", "split", A, "--chunk-duration", "nan"),
    ("chunk", "manifest", A, "--chunk-duration", "-1"),
    ("chunk", "run", A, "--chunk-duration", "5", "--overlap", "5"),
    ("chunk", "run", A),
    ("chunk", "orchestrate", ".", "--chunk-duration", "0"),
    ("chunk", "orchestrate", ".", "--apply", "--print-datalad-run"),
    ("chunk", "orchestrate", ".", "--workers", "0"),
    ("chunk", "probe", A, "--tolerance", "0"),
    ("infer", "run"),
    ("infer", "run", "m.csv", "--manifest", "m.csv"),
    ("infer", "run", "m.csv", "--runner-cmd", "x", "--use-hawkears"),
    ("infer", "run", "m.csv", "--max-retries", "-1"),
    ("infer", "orchestrate", ".", "--bundle"),
    ("infer", "orchestrate", ".", "--limit", "-1"),
    ("infer", "compare", "a.parquet"),
    ("infer", "compare", "x=a.parquet", "x=b.parquet"),
    ("infer", "compare", "a.parquet", "b.parquet", "--output", "a.txt"),
    ("infer", "compare", "a.parquet", "b.parquet", "--output", "a.parquet"),
    ("infer", "monitor", "--tail", "0"),
    ("report", "summary", *TABLE, "--group-by", "bogus"),
    ("report", "summary"),
    ("report", "bundle", *TABLE, "--run-prefix", "a/b"),
    ("report", "parquet", *TABLE, "--bucket-minutes", "0"),
    ("redo", ".", "bogus"),
    ("redo", ".", "recording"),
    ("home", "init", "--postgres", "bogus"),
    ("data", "connect"),
    ("data", "lineage"),
]
WORK = [
    ("run", "nowhere"),
    ("scan", "nowhere"),
    ("status", "nowhere"),
    ("chunk", "split", "nowhere.wav"),
    ("chunk", "split", "broken.wav"),
    ("chunk", "validate", "m.csv"),
    ("chunk", "probe", A, "--gpu-index", "4711", "--detector", "band_energy"),
    ("chunk", "orchestrate", ".", "--pattern", "*.mp3"),
    ("chunk", "orchestrate", ".", "--print-datalad-run"),
    ("infer", "run", "nowhere.csv"),
    ("infer", "run", "m.csv"),
    ("infer", "run-config", "nowhere.toml"),
    ("infer", "run-config", "wrong.toml"),
    ("infer", "aggregate", "nowhere"),
    ("infer", "compare", "a.parquet", "nowhere.parquet"),
    ("infer", "monitor", "--log", "nowhere.jsonl"),
    ("telemetry", "--log", "."),
    ("report", "summary", *TABLE),
    ("report", "."),
    ("redo", ".", "recording", "bogus"),
    ("verify", "nowhere"),
    ("data", "connect", "nowhere"),
    ("data", "disconnect", "nowhere"),
    ("data", "lineage", "badc.toml"),
    ("slurm", "status", "nowhere"),
]


@pytest.fixture
def root(tmp_path, tmp_path_factory, monkeypatch):
    """Returns a dataset that nobody has worked on, with files that are not what they are called."""

    def build(folder):
        write_tone(folder / A, 6.0)
        (folder / "badc.toml").write_text("[inference]\ncpu_workers = 1\n")
        (folder / "wrong.toml").write_text("[runner]\nmanifest = 3\n")
        for name in ("m.csv", "a.parquet", "b.parquet", "broken.wav"):
            (folder / name).write_text("wrong")

    shutil.copytree(build_once(tmp_path_factory, "exit-codes", build), tmp_path / "root")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("words", "code"),
    [*((one, 2) for one in USAGE), *((one, 1) for one in WORK)],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else str(given),
)
def test_the_exit_code_says_who_is_to_blame(root, words, code):
    done = run_badc(*words, folder=root, code=code)
    assert done.stderr or done.stdout
    assert "Traceback" not in done.stderr
