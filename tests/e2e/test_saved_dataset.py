"""Datasets that were saved with DataLad are worked on again, and nothing saved is changed."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest
from support.archives import run_in
from support.built_once import build_once
from support.saved_datasets import (
    make_saved_dataset,
    require_unharmed,
    run_badc,
    save,
    save_as_before,
    stored,
    tracked,
)

pytestmark = pytest.mark.slow

_PROGRAM = """
import json, sys
from pathlib import Path
output = Path(sys.argv[sys.argv.index("--output") + 1])
found = [{"timestamp_ms": 100, "end_ms": 900, "label": "Res", "confidence": 0.9}]
output.write_text(json.dumps({"detections": found}))
(output.parent / "spectrum.bin").write_bytes(sys.argv[1].encode() * 100)
"""


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """Returns the folder of a saved dataset, and of the Dagster home that it was made with."""
    return build_once(tmp_path_factory, "saved", make_saved_dataset)


@pytest.fixture
def root(saved, tmp_path) -> Path:
    shutil.copytree(saved, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "saved"


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.mark.soak
@pytest.mark.parametrize("as_root", [False, True])
def test_what_an_earlier_version_saved_is_worked_on_again(root, home, as_root):
    save_as_before(root)
    before = stored(root)
    for name in ("recordings.csv", "manifests/A.csv", "artifacts/chunks/A/.chunk_lock"):
        assert (root / name).is_symlink()
    full = ("--set", "report.bundle=full")
    run_badc(home, "run", root, "--min-score", "0.3", *full, as_root=as_root)
    run_badc(home, "chunk", "run", "audio/A.wav", "--chunk-duration", 3, as_root=as_root, cwd=root)
    require_unharmed(root, before)
    save(root)
    in_git = ("artifacts/aggregate/A_quicklook/labels.csv", "artifacts/chunks/A/A.csv")
    assert not any((root / path).is_symlink() for path in in_git)
    annexed = ("artifacts/aggregate/A.parquet", "artifacts/chunks/A/A_chunk_0_3000.wav")
    assert all((root / path).is_symlink() for path in annexed)
    assert not [path for path in tracked(root) if ".badc/" in path or path.endswith(".part")]
    assert "artifacts/chunks/A/.chunk_lock" not in tracked(root)


@pytest.mark.soak
@pytest.mark.parametrize("as_root", [False, True])
def test_the_commands_that_are_printed_for_datalad_are_followed_by_plain_ones(root, home, as_root):
    for words in (("chunk", "orchestrate", "--chunk-duration", 3), ("infer", "orchestrate")):
        printed = run_badc(home, *words, root, "--print-datalad-run").stdout
        run_in(root, "sh", "-e", "-c", printed)
    before = stored(root)
    for words in (
        ("infer", "orchestrate", root, "--min-score", 0.1, "--apply"),
        ("chunk", "orchestrate", root, "--chunk-duration", 2, "--apply"),
        ("infer", "orchestrate", root, "--min-score", 0.3, "--apply"),
    ):
        run_badc(home, *words, as_root=as_root)
    require_unharmed(root, before)
    save(root)


def write_everything(root: Path, home: Path, program: Path, turn: int, as_root: bool) -> None:
    """Has every command that writes write into a dataset, with other settings at every turn."""

    def badc(*words: object) -> None:
        run_badc(home, *words, as_root=as_root, cwd=root)

    length_s, score = 4 - turn, 0.2 + turn / 10
    audio, manifest = root / "audio" / "A.wav", root / "manifests" / "A.csv"
    runner = shlex.join([sys.executable, str(program), str(turn)])
    badc("scan", root)
    badc("run", root, "--min-score", score, "--set", f"report.top_detections={turn + 1}")
    badc("chunk", "probe", audio, "--log", root / "probe.jsonl")
    badc("chunk", "manifest", audio, "--chunk-duration", length_s, "--output", root / "one.csv")
    badc("chunk", "run", audio, "--chunk-duration", length_s, "--output-dir", root / "wav")
    badc(
        *("chunk", "orchestrate", root, "--chunk-duration", length_s, "--include-existing"),
        *("--plan-csv", "plan.csv", "--plan-json", "plan.json", "--apply"),
    )
    log = root / "log.jsonl"
    badc("infer", "run", manifest, "--min-score", score, "--telemetry-log", log)
    badc("infer", "run", manifest, "--runner-cmd", runner, "--output-dir", root / "own")
    badc(
        *("infer", "orchestrate", root, "--min-score", score, "--include-existing"),
        *("--plan-csv", "infer.csv", "--plan-json", "infer.json", "--apply"),
    )
    badc("infer", "aggregate", root / "artifacts" / "infer", "--parquet", root / "all.parquet")
    folder = root / "artifacts" / "aggregate"
    tables = (folder / "A.parquet", folder / "summary.csv")
    badc("infer", "compare", *tables, "--output", root / "comparison.csv")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kind", "as_root"),
    [("locked", False), ("hard links", True)],
)
def test_no_command_changes_what_is_in_the_annex(root, home, tmp_path, kind, as_root):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    write_everything(root, home, program, 0, as_root)
    if kind == "hard links":
        run_in(root, "git", "config", "annex.thin", "true")
    save(root)
    if kind == "hard links":
        run_in(root, "git", "annex", "unlock", "--quiet", ".")
        save(root)
    before = stored(root)
    write_everything(root, home, program, 1, as_root)
    require_unharmed(root, before)
    save(root)
    run_in(root, "git", "annex", "fsck", "--quiet", "audio")
