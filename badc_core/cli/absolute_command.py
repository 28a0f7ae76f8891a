"""Commands of the user's own programs, made good in every folder."""

import shlex
from pathlib import Path


def absolute_command(command: str) -> str:
    """Returns a command with absolute paths of the files it names.

    The program's is left as it is where it is looked for in PATH.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # reported where the command is run
        return command
    absolute = [_absolute_path(word, is_program=not n) for n, word in enumerate(words)]
    return command if absolute == words else shlex.join(absolute)


def _absolute_path(word: str, is_program: bool) -> str:
    """Returns the absolute path of a file that a word of a command names; else the word itself."""
    try:
        is_own_file = Path(word).is_file() and ("/" in word or not is_program)
    except (OSError, ValueError):
        return word
    return str(Path(word).absolute()) if is_own_file else word
