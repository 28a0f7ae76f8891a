"""Whether the content of a file is here, or elsewhere, as that of an annexed file may be.

Told by looking at the file; no program is started. Contents are fetched in `provenance/annex.py`.
"""

import os
import re
import shlex
import stat
from pathlib import Path

from badc_core.errors import ContentMissing

_ANNEX_POINTER = b"/annex/objects/"
_INTO_ANNEX = "annex/objects/"
_LFS_POINTER = b"version https://git-lfs"
_LONGEST_POINTER_BYTES = 32_768
"""Source: git-annex, `Annex/Link.hs`, `maxPointerSz`."""
_KEY = re.compile(r"(?P<backend>[A-Z0-9_]+?)E?-s(?P<size>\d+)(-[a-zA-Z]\d+)*--(?P<name>[^.]*)")
"""Source: https://git-annex.branchable.com/internals/key_format/"""


def lacks_content(path: Path | str) -> bool:
    """Returns whether a file is annexed and its content is not here.

    That is a link into an annex that leads nowhere, or in an unlocked or adjusted branch a small
    file that names its content.
    """
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        link = Path(path)
        return link.is_symlink() and _leads_into_annex(link)
    except OSError:
        return False  # its reader will say so
    is_small_file = stat.S_ISREG(status.st_mode) and status.st_size <= _LONGEST_POINTER_BYTES
    return is_small_file and _begins_with(path, _ANNEX_POINTER)


def read_annex_key(path: Path) -> str:
    """Returns what git-annex calls the content of a file, which equal files share.

    Empty where the file does not say: it is not annexed, or unlocked with its content here.
    """
    if path.is_symlink():
        return os.path.basename(os.path.realpath(path)) if _leads_into_annex(path) else ""  # noqa: PTH119
    if not lacks_content(path):
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_POINTER_BYTES)
    except OSError:
        return ""
    # The content itself may have come to its place meanwhile.
    is_pointer = content.startswith(_ANNEX_POINTER)
    return os.fsdecode(content.splitlines()[0]).rpartition("/")[2] if is_pointer else ""


def is_key_of(key: str, size_bytes: int, sha256: str | None = None) -> bool:
    """Returns whether a key is that of a content, as far as it says.

    Keys have the size, and a checksum that is a SHA-256 where the repository was told so.

    Args:
        key: from `read_annex_key`.
        size_bytes: of the content.
        sha256: of the content, hex; None if it is not known.
    """
    found = _KEY.match(key)
    if found is None or int(found["size"]) != size_bytes:
        return False
    return sha256 is None or found["backend"] != "SHA256" or found["name"] == sha256


def size_of_key(key: str) -> int | None:
    """Returns the size in bytes of a content by its key; None where the key does not say it."""
    found = _KEY.match(key)
    return None if found is None else int(found["size"])


def require_fetched(path: Path) -> None:
    """Returns if a file does not say that its content is elsewhere.

    Raises:
        ContentMissing: it is a link that leads nowhere, or a pointer of git-annex or git-LFS.
    """
    if lacks_content(path):
        raise content_missing(path)
    if _leads_nowhere(path):
        what = "the link leads nowhere"
        raise ContentMissing(what, path, "Mount the disk that it leads to, or remove the link")
    if os.path.isfile(path) and _begins_with(path, _LFS_POINTER):  # noqa: PTH113  (no errors)
        what = "its content is not on this machine, only a git-LFS pointer to it"
        raise ContentMissing(what, path, "Run in its folder: git lfs pull")


def content_missing(path: Path, why: str = "") -> ContentMissing:
    """Returns the error about an annexed file whose content is not here.

    Args:
        path: of the file.
        why: it could not be fetched, if that was tried.
    """
    what = "its content is not on this machine"
    if why:
        what += f" and could not be fetched ({why})"
    absolute = path.absolute()
    root = find_root(absolute.parent)
    # DataLad finds a dataset by itself only where it is typed inside of it.
    named = "" if root is None else f" -d {shlex.quote(str(root))}"
    return ContentMissing(what, path, f"Run: datalad get {shlex.quote(str(absolute))}{named}")


def quote_path(path: Path) -> str:
    """Returns a path as a word for a shell that no program takes for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def find_root(folder: Path) -> Path | None:
    """Returns the innermost folder with a git repository in or above a folder; None without one."""
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


def _leads_into_annex(link: Path) -> bool:
    # Mostly the link itself says so; one that leads to such a link does not.
    return _INTO_ANNEX in str(link.readlink()) or _INTO_ANNEX in os.path.realpath(link)


def _leads_nowhere(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return path.is_symlink()
    except OSError:
        return False
    return False


def _begins_with(path: Path | str, beginning: bytes) -> bool:
    # A file object would cost thrice as much, and corpora have thousands of small files.
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(beginning)) == beginning
    except OSError:
        return False
    finally:
        os.close(descriptor)
