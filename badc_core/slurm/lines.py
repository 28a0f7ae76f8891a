"""Files of lines that one process adds to and others read meanwhile."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from badc_core.atomic import naming_storage_trouble


def append_line(path: Path, content: dict[str, Any], durably: bool = False) -> None:
    """Adds a line to a file, after one that was left half as well.

    Args:
        path: of the file.
        content: of the line.
        durably: whether it must outlive a power cut.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    line = (json.dumps(content, separators=(",", ":")) + "\n").encode()
    with naming_storage_trouble(path), path.open("a+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        while line:
            line = line[file.write(line) :]
        if durably:
            os.fsync(file.fileno())


def add_lines(source: Path, target: Path) -> None:
    """Adds the lines of a journal that another one lacks."""
    known = set(_whole_lines(target))
    new = [line for line in _whole_lines(source) if line not in known]
    if new:
        with naming_storage_trouble(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab") as file:
                # After a line that a killed process left half.
                file.write(b"\n" + b"".join(line + b"\n" for line in new))


def _whole_lines(path: Path) -> Iterator[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    yield from filter(None, content.split(b"\n")[:-1])
