"""Real DataLad datasets whose contents lie in a store, as those of archives do."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

HOSTILE_NAMES = (
    "plain.wav",
    "with space.wav",
    "quote'and\"quote.wav",
    "semi;colon $(touch evil) `touch evil`.wav",
    "Düne — été.wav",
    "line\nbreak.wav",
    "-leading dash.wav",
    "star*[a-z]?.wav",
    ":(glob)magic.wav",
    "back\\slash.wav",
)


def run_in(folder: Path, *words: str) -> str:
    """Returns what a program writes, run in a folder."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def make_archive(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Makes a DataLad dataset `archive` in a folder, and `store`, a directory special remote.

    Args:
        folder: that both are put in.
        files: path in the dataset -> content. All are annexed; contents are only in the store.
    """
    run_in(folder, "datalad", "create", "archive")
    archive = folder / "archive"
    (folder / "store").mkdir()
    for name, content in files:
        path = archive / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    run_in(archive, "git", "annex", "add", "--quiet", ".")
    run_in(archive, "git", "commit", "--quiet", "-m", "Add recordings")
    move_to_store(archive, folder / "store")


def move_to_store(archive: Path, store: Path) -> None:
    """Moves all contents of a dataset into a folder that is its directory special remote."""
    options = ("type=directory", f"directory={store}", "encryption=none", "autoenable=true")
    run_in(archive, "git", "annex", "initremote", "store", *options)
    run_in(archive, "git", "annex", "move", "--quiet", "--to", "store", ".")


def copy_archive(built: Path, folder: Path) -> Path:
    """Returns a copy of an archive, whose store is the copied one."""
    shutil.copytree(built, folder, symlinks=True, dirs_exist_ok=True)
    archive = folder / "archive"
    enable_store(archive, folder / "store")
    return archive


def enable_store(clone: Path, store: Path) -> None:
    """Tells a clone where the store is."""
    run_in(clone, "git", "annex", "enableremote", "store", f"directory={store}")


def checksums(archive: Path) -> dict[str, bytes]:
    """Returns the content of everything in an annex's objects, by its path there."""
    objects = archive / ".git/annex/objects"
    return {str(p.relative_to(objects)): p.read_bytes() for p in objects.rglob("*") if p.is_file()}
