"""Starts git, git-annex and DataLad, and stops those that hang.

Nothing else of BADC starts these programs. What they are asked is in `annex.py`.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from badc_core.errors import ProgramMissing, RepositoryFailed

LONGEST_MESSAGE = 1_000
"""Characters of what these programs say that are shown."""

_BETWEEN_LOOKS_S = 0.5
_OF_OTHERS = re.compile(r"dubious ownership in repository at '(.+)'")

_GRACE_S = 5.0
"""For a program that is stopped: git removes its lock files."""

# Set by git for hooks and by `git rebase --exec`; they name another repository than ours.
# Source: `git rev-parse --local-env-vars`.
_OF_OTHER_REPOSITORIES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)


def find_program(name: str) -> str | None:
    """Returns the path of a program, on PATH or beside this Python; None if it is not there."""
    return shutil.which(name, path=_search_path())


def has_terminal() -> bool:
    """Returns whether there is a terminal at which a program can ask for a password."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def run_program(
    words: Sequence[str],
    folder: Path,
    content: bytes = b"",
    limit_s: float | None = None,
    unneeded: Event | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Returns how a program ended that was run in a folder.

    Args:
        words: the program and its arguments.
        folder: to run it in.
        content: for its standard input.
        limit_s: after which it is stopped, with all that it started. Without a limit these can ask
            for a password at the terminal of this process, with one they cannot.
        unneeded: is set once nobody needs what it does, and then it is stopped; only without a
            limit.

    Raises:
        ProgramMissing: it is not there, or git or git-annex that it needs is not.
        RepositoryFailed: it was stopped, or not even started.
    """
    for program in {words[0], "git", *(("git-annex",) if "annex" in words[:2] else ())}:
        _require_program(program)
    if unneeded is not None and unneeded.is_set():
        raise _stopped(words, folder, limit_s)
    with subprocess.Popen(
        words,
        cwd=folder,
        env=_environment(asks=limit_s is None),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=limit_s is not None,
    ) as process:
        try:
            said, errors = _communicate(process, content, limit_s, unneeded)
        except BaseException as error:
            _stop(process, is_session=limit_s is not None)
            if isinstance(error, subprocess.TimeoutExpired):
                raise _stopped(words, folder, limit_s) from error
            raise
    return subprocess.CompletedProcess(words, process.returncode, said, errors)


def program_failed(
    words: Sequence[str], folder: Path, ended: subprocess.CompletedProcess[bytes]
) -> RepositoryFailed:
    """Returns the error about a program that failed in a folder; the first few words name it."""
    # DataLad writes some of its errors as results.
    said = (ended.stderr or ended.stdout).decode("utf-8", "replace").strip()
    if others := _OF_OTHERS.search(said):
        run = f"git config --global --add safe.directory {shlex.quote(others[1])}"
        what = "git reads no repository of another user"
        return RepositoryFailed(what, others[1], f"If you trust it: {run}")
    said = said[-LONGEST_MESSAGE:] or f"exit code {ended.returncode}"
    what = f"`{' '.join(words[:3])}` failed: {said}"
    return RepositoryFailed(what, folder, "Correct that, then run again")


def _require_program(name: str) -> None:
    if find_program(name) is None:
        remedy = "Install git" if name == "git" else "Run: pip install datalad git-annex"
        raise ProgramMissing(f"the program {name} is not there", "", remedy)


def _communicate(
    process: subprocess.Popen[bytes],
    content: bytes,
    limit_s: float | None,
    unneeded: Event | None,
) -> tuple[bytes, bytes]:
    """Returns what a program writes.

    Raises:
        TimeoutExpired: it is not done after the limit, or nobody needs it any more.
    """
    given: bytes | None = content
    while unneeded is not None:
        try:
            return process.communicate(given, timeout=_BETWEEN_LOOKS_S)
        except subprocess.TimeoutExpired:
            if unneeded.is_set():
                raise
            given = None  # it goes on with what it has
    return process.communicate(content, timeout=limit_s)


def _stopped(words: Sequence[str], folder: Path, limit_s: float | None) -> RepositoryFailed:
    what = f"`{' '.join(words[:3])}` was "
    if limit_s is None:
        what += "stopped, since nobody needs it any more"
        return RepositoryFailed(what, folder, "Run again to have it done")
    what += f"not done after {limit_s:.0f} s, and was stopped"
    remedy = "See what it waits for, such as a hook or a passphrase; then run again"
    return RepositoryFailed(what, folder, remedy)


def _stop(process: subprocess.Popen[bytes], is_session: bool) -> None:
    """Stops a program, politely first: git then stops git-annex, and would leave it if killed.

    Args:
        process: the program.
        is_session: whether it is a session of its own, which is stopped with all in it.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if is_session else process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)


def _search_path() -> str:
    beside = str(Path(sys.executable).parent)
    return os.pathsep.join([os.environ.get("PATH", os.defpath), beside])


def _environment(asks: bool) -> dict[str, str]:
    """Returns the environment of these programs: all of ours, for keys of remotes are in it.

    Args:
        asks: whether gpg may ask for a passphrase at the terminal.
    """
    left_out = (*_OF_OTHER_REPOSITORIES, *(() if asks else ("GPG_TTY",)))
    inherited = {k: v for k, v in os.environ.items() if k not in left_out}
    return {**inherited, "PATH": _search_path(), "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
