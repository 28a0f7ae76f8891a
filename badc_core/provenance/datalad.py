"""Commands that have DataLad record what a BADC command reads and writes.

Text only: nothing is run here. Records of what BADC runs itself are in `records.py`.
"""

import glob
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from badc_core.errors import ConfigInvalid


def require_datalad_dataset(root: Path) -> None:
    """Raises ConfigInvalid where a folder is no DataLad dataset, so that nothing can be recorded.

    Args:
        root: of the dataset, absolute.
    """
    if not (root / ".datalad").is_dir():
        raise ConfigInvalid(
            "no DataLad dataset, so datalad run cannot record anything in it",
            root,
            f"Make it one: datalad create --force {shlex.quote(str(root))}",
        )


def render_datalad_run(
    root: Path,
    message: str,
    inputs: Iterable[Path],
    outputs: Iterable[Path],
    words: Sequence[str],
) -> str:
    """Returns a `datalad run` command as one line for a shell.

    It changes into the dataset's root, where relative paths then begin: `datalad run -d ROOT` runs
    a command wherever it is typed (DataLad 1.7.1). What lies outside the dataset cannot be
    recorded and is left out.

    Args:
        root: of the dataset, absolute.
        message: of the commit.
        inputs: absolute paths; DataLad fetches them first.
        outputs: absolute paths; DataLad unlocks them first.
        words: the command.
    """
    line = ["datalad", "run", "-d", ".", "-m", message]
    for option, paths in (("-i", inputs), ("-o", outputs)):
        for path in paths:
            if path.is_relative_to(root):
                line += [option, quote_pattern(below(root, path))]
    line += ["--", *map(quote_placeholders, words)]
    return f"cd {shlex.quote(str(root))} && {shlex.join(line)}"


def below(root: Path, path: Path) -> str:
    """Returns an absolute path as it is named in a dataset: relative if it lies in there."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def quote_pattern(path: str) -> str:
    """Returns a path as an input or output in which DataLad finds no pattern or placeholder."""
    return quote_placeholders(glob.escape(path))


def quote_placeholders(text: str) -> str:
    """Returns a text in which DataLad finds no placeholder.

    Source: "Command format" in `datalad run --help`.
    """
    return text.replace("{", "{{").replace("}", "}}")
