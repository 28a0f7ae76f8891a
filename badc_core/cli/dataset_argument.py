"""The argument DATASET of commands: a folder that holds recordings, or a hint at what was meant."""

import os
import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.settings import RecordingSettings

_ENDINGS = {f".{one}" for one in RecordingSettings().extensions}


def _require_dataset(context: typer.Context, path: Path) -> Path:
    if not context.resilient_parsing:
        try:
            Dataset.open(path)
        except DatasetInvalid as error:
            raise explain_folder(path, context.command_path.rstrip(), error) from error
    return path


DatasetFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET", help="A folder that holds audio/.", callback=_require_dataset
    ),
]


def explain_folder(path: Path, command: str, error: DatasetInvalid) -> DatasetInvalid:
    """Returns why a path is no dataset, with the command that was probably meant.

    Args:
        path: as it was typed.
        command: what it was typed after: `badc run`.
        error: why it cannot be opened as a dataset.
    """
    meant = _find_dataset_around(path) or _find_similar(path)
    if meant is not None:
        what = "inside a dataset, not one itself" if path.exists() else "no such folder"
        return DatasetInvalid(what, path, f"Did you mean: {command} {_quote(meant)}")
    if path.is_file():
        what = "a file; a dataset is a folder with recordings in its folder audio/"
        return DatasetInvalid(what, path, _explain_linking(path.parent, command))
    if path.is_dir() and _has_recordings(path):
        what = "holds recordings, but not in a folder audio/"
        return DatasetInvalid(what, path, _explain_linking(path, command))
    return error


def _explain_linking(folder: Path, command: str) -> str:
    """Returns the commands that make a dataset of a folder of recordings and leave it as it is."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100  (links are kept)
    new = f"{absolute.name or 'recordings'}-dataset"
    link = f"ln -s {_quote(absolute)} {_quote(f'{new}/audio')}"
    return f"Make one beside it: mkdir {_quote(new)} && {link} && {command} {_quote(new)}"


def _find_dataset_around(path: Path) -> Path | None:
    """Returns the dataset that a recording or a folder of recordings is in, as the user typed."""
    inner = Path(os.path.abspath(path))  # noqa: PTH100
    if not inner.exists():
        return None
    for folder in inner.parents:
        try:
            roots = Dataset.open(folder).audio_roots
        except BadcError:
            continue
        if any(inner.is_relative_to(root) for root in roots):
            return folder if path.is_absolute() else Path(os.path.relpath(folder))
    return None


def _find_similar(path: Path) -> Path | None:
    """Returns the folder beside a path that is not there whose name is nearly the same."""
    if path.exists() or not path.parent.is_dir():
        return None
    names = [one.name for one in path.parent.iterdir() if one.is_dir()]
    return next((path.parent / one for one in get_close_matches(path.name, names, 1)), None)


def _has_recordings(folder: Path) -> bool:
    """Returns whether there are recordings in a folder or in the folders inside."""
    files = [*folder.glob("*"), *folder.glob("*/*"), *folder.glob("*/*/*")]
    return any(one.suffix.lower() in _ENDINGS for one in files)


def _quote(path: str | Path) -> str:
    return shlex.quote(str(path))
