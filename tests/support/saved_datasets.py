"""A DataLad dataset whose results were saved, and what of it nothing may change."""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.archives import run_in
from support.commands import BADC
from support.sounds import write_tone

SETTINGS = '[detector]\nname = "band_energy"\n[inference]\ncpu_workers = 1\n'
NAMES = ("A", "B")


def make_saved_dataset(folder: Path) -> None:
    """Makes a DataLad dataset `saved` in a folder, analyses it and saves everything."""
    run_in(folder, "datalad", "create", "saved")
    root = folder / "saved"
    for number, name in enumerate(NAMES):
        write_tone(root / "audio" / f"{name}.wav", 9.0, number)
    (root / "badc.toml").write_text(SETTINGS, encoding="utf-8")
    save(root)
    run_badc(folder / "home", "run", root)
    save(root)


def run_badc(
    home: Path, *words: object, as_root: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Returns what a `badc` command wrote, which must succeed.

    Args:
        home: the Dagster home.
        words: of the command.
        as_root: whether permissions of files may be passed over, where that is possible.
        cwd: where it is typed.
    """
    command = [*(() if as_root else _obeying_permissions()), str(BADC), *map(str, words)]
    home.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "DAGSTER_HOME": str(home)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done


def save(root: Path) -> None:
    """Saves everything with DataLad, after which nothing is left to save."""
    run_in(root, "datalad", "save", "-m", "Save")
    assert run_in(root, "git", "status", "--porcelain") == ""


def save_as_before(root: Path) -> None:
    """Saves everything as it was before BADC said what is tracked: all in the annex, locks too."""
    run_in(root, "git", "rm", "--quiet", ".gitignore")
    created = run_in(root, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    run_in(root, "git", "checkout", "--quiet", created, "--", ".gitattributes")
    for lock in (
        "artifacts/.registry.lock",
        *(f"artifacts/chunks/{one}/.chunk_lock" for one in NAMES),
    ):
        (root / lock).parent.mkdir(parents=True, exist_ok=True)
        (root / lock).touch()
    run_in(
        root, "git", "rm", "--quiet", "-r", "--cached", "artifacts", "manifests", "recordings.csv"
    )
    made = ("artifacts", "manifests", "recordings.csv")
    run_in(root, "git", "annex", "add", "--quiet", "--force-large", *made)
    run_in(root, "git", "commit", "--quiet", "-m", "Save as before")
    assert run_in(root, "git", "status", "--porcelain") == ""


def stored(root: Path) -> dict[str, tuple[str, int]]:
    """Returns hash and time of last change of everything in the annex."""
    objects = root / ".git" / "annex" / "objects"
    return {
        str(path.relative_to(objects)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in objects.rglob("*")
        if path.is_file()
    }


def require_unharmed(root: Path, before: dict[str, tuple[str, int]]) -> None:
    """Returns if what was in the annex is in there unchanged, and git and git-annex agree."""
    after = stored(root)
    assert {path: after.get(path) for path in before} == before
    run_in(root, "git", "fsck", "--no-dangling")
    run_in(root, "git", "annex", "fsck", "--quiet")


def tracked(root: Path) -> list[str]:
    """Returns the paths that are committed or staged."""
    return run_in(root, "git", "ls-files", "-z").split("\0")[:-1]


def _obeying_permissions() -> Sequence[str]:
    """Returns the beginning of a command that makes root obey permissions as anybody."""
    if os.geteuid() != 0:
        return ()
    capabilities = "-dac_override,-dac_read_search,-fowner"
    return ("setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}")
