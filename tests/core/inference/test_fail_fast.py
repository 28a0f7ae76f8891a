"""Whether a run stops at the first failure, or tries everything first."""

import json

import pytest
from support.commands import run_badc
from support.sounds import write_tone
from support.tables import write_rows


@pytest.fixture
def root(tmp_path):
    """Returns a dataset of two recordings in four chunk files each; the first file is broken."""
    root = tmp_path / "pond"
    for name in "ab":
        write_tone(root / "audio" / f"{name}.wav", 8.0)
        rows = []
        for start in range(0, 8000, 2000):
            chunk = f"{name}_chunk_{start}_{start + 2000}"
            path = write_tone(root / "artifacts" / "chunks" / name / f"{chunk}.wav", 2.0)
            rows.append((name, chunk, path, start, start + 2000, 0, "TODO_HASH", ""))
        write_rows(root / "manifests" / f"{name}.csv", *rows)
    (root / "artifacts" / "chunks" / "a" / "a_chunk_0_2000.wav").write_bytes(b"RIFF no sound")
    return root


@pytest.mark.parametrize("is_fast", [False, True])
def test_everything_else_is_tried_unless_the_first_failure_is_to_end_it(root, is_fast):
    words = [
        "infer",
        "orchestrate",
        ".",
        "--apply",
        "--detector",
        "band_energy",
        "--max-retries",
        0,
    ]
    words += ["--cpu-workers", 1, "--set", f"inference.fail_fast={str(is_fast).lower()}"]
    done = run_badc(*words, folder=root, code=1)
    found = list((root / "artifacts" / "infer").glob("*/*.json"))
    n_good = sum(json.loads(path.read_text())["status"] != "error" for path in found)
    if is_fast:
        assert "a: stopped at the first failure, as inference.fail_fast says" in done.stderr
        assert n_good < 7
    else:
        assert "1 of 2 recordings failed" in done.stderr
        assert n_good == 7
    words[-1] = "inference.fail_fast=false"
    run_badc(*words, folder=root, code=1)
    assert len(list((root / "artifacts" / "infer").glob("*/*.json"))) == 8
