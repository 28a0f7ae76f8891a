"""What of a dataset version control takes, and which files git-annex keeps.

In a git repository, BADC keeps a block of lines of its own in the dataset's `.gitignore` and
`.gitattributes`: work in progress is not tracked, text and small tables are in git, the rest is
annexed. Lines of others stay as they are, and those below the block win over it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.atomic import replacing
from badc_core.datasets.work_folder import WORK_FOLDER
from badc_core.errors import ProgramMissing, RepositoryFailed
from badc_core.provenance.annex import Repository, find_repository

IGNORED = (
    f"{WORK_FOLDER}/",
    "# Outputs that are being written",
    *(".*.part", ".*.part.*"),
    "# Locks of earlier versions",
    *(".chunk_lock", ".registry.lock", ".*.jsonl.lock"),
)
_TEXTS = ("csv", "json", "jsonl", "sh", "toml", "txt")
ATTRIBUTES = (
    "/artifacts/** annex.largefiles=anything",
    *(f"/artifacts/**/*.{ending} annex.largefiles=largerthan=1mb" for ending in _TEXTS),
    "/manifests/**/*.csv annex.largefiles=largerthan=1mb",
    *(
        f"/{name} annex.largefiles=nothing"
        for name in (
            *("badc.toml", "deployments.csv", "recordings.csv"),
            *("thresholds.csv", "calibration.csv", "reviews/*.csv"),
        )
    ),
)

_BEGIN = "# BADC: begin; your own lines go above or below"
_END = "# BADC: end"
_BLOCK = re.compile(rb"^# BADC: begin\b.*?^# BADC: end\b[^\n]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def write_tracking_rules(root: Path) -> tuple[Path, ...]:
    """Brings BADC's lines of a dataset's `.gitignore` and `.gitattributes` up to date.

    Where they are there already, nothing is written. A folder that is in no git repository, or
    that its repository ignores, gets none.

    Args:
        root: the dataset's folder, anywhere in a repository.

    Returns:
        The files that changed.

    Raises:
        ContentMissing: one of them is annexed, and its content is not here.
        StorageFull, OutputUnwritable: it cannot be written.
    """
    repository = find_repository(root)
    if repository is None:
        return ()
    files = {root / ".gitignore": IGNORED, root / ".gitattributes": ATTRIBUTES}
    wanted = {path: _add_block(path, lines) for path, lines in files.items()}
    changed = {path: content for path, content in wanted.items() if content is not None}
    if not changed or _is_ignored(repository, root.resolve()):
        return ()
    for path, content in changed.items():
        with replacing(path) as aside:
            aside.write_bytes(content)
    return tuple(changed)


def _is_ignored(repository: Repository, folder: Path) -> bool:
    """Returns whether a repository ignores a folder; False also where git cannot be asked."""
    below = folder.relative_to(repository.root)
    if below == Path():
        return False
    try:
        repository.git("check-ignore", "--quiet", "--", f"./{below}")
    except (ProgramMissing, RepositoryFailed):
        return False
    return True


def _add_block(path: Path, lines: Sequence[str]) -> bytes | None:
    """Returns a file's content with our block; None where it has it. Git follows no link."""
    require_fetched(path)
    before = path.read_bytes() if path.exists() else b""
    after = _with_block(before, lines)
    return None if after == before and not path.is_symlink() else after


def _with_block(before: bytes, lines: Sequence[str]) -> bytes:
    """Returns a file's content with our block, where it was or at the end.

    Every other byte is kept, and lines end as those of the file do.
    """
    end = b"\r\n" if before.count(b"\r\n") * 2 > before.count(b"\n") else b"\n"
    block = b"".join(line.encode() + end for line in (_BEGIN, *lines, _END))
    head, *rest = _BLOCK.split(before)
    if not rest and head:
        head += (b"" if head.endswith(b"\n") else end) + end
    return head + block + b"".join(rest)
