"""The argument DATASET of commands: a folder that holds recordings, or a hint at what was meant.

Nothing is written while a command line is read: options that follow may be refused.
"""

import os
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from badc_core.cli.setting_options import SettingOptions
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.linked import find_linked, has_recordings, make_linked, place_linked
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.file_names import absolute
from badc_core.settings import SETTINGS_FILE


def _require_dataset(context: typer.Context, path: Path) -> Path:
    return path if context.resilient_parsing else _open(path, context, find_linked)


def _require_recordings(context: typer.Context, path: Path) -> Path:
    return path if context.resilient_parsing else _open(path, context, _find_or_keep)


def _require_if_given(context: typer.Context, path: Path | None) -> Path | None:
    return None if path is None else _require_dataset(context, path)


DatasetFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET", help="A folder that holds audio/.", callback=_require_dataset
    ),
]
DatasetIfGiven = Annotated[
    Path | None,
    typer.Argument(
        metavar="DATASET", help="A folder that holds audio/.", callback=_require_if_given
    ),
]
RecordingsFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        help="A folder that holds audio/, or recordings, which get a dataset with a link to them.",
        callback=_require_recordings,
    ),
]


def is_dataset(path: Path) -> bool:
    """Returns whether a folder is a dataset, rather than recordings that are in none."""
    try:
        Dataset.open(path)
    except DatasetInvalid:
        return False
    return True


def no_dataset_yet(path: Path) -> DatasetInvalid:
    """Returns the error about recordings that are in no dataset, where one is needed."""
    what = "holds recordings, but is no dataset yet"
    return DatasetInvalid(what, path, f"Run: badc run {_quote(path)}")


def make_dataset(path: Path, options: SettingOptions | None = None) -> Path:
    """Returns the folder of a dataset; for recordings in none, that of a new one.

    Args:
        path: a `RecordingsFolder`.
        options: settings of the run, which are checked first; None without any.

    Raises:
        OptionInvalid, ConfigInvalid: the options cannot be used.
        DatasetInvalid, OutputUnwritable: it cannot be made.
    """
    if is_dataset(path):
        return path
    if options is not None:
        options.settings(place_linked(path)[0] / SETTINGS_FILE)
    made = make_linked(path)
    typer.echo(f"{path} is no dataset; results go to a new one: {made}", err=True)
    return made if path.is_absolute() else Path(os.path.relpath(made))


def _open(path: Path, context: typer.Context, find: Callable[[Path], Path | None]) -> Path:
    """Returns the dataset that is meant by a path: that folder, or what is found for recordings.

    Raises:
        DatasetInvalid: none is; the message says what was probably meant.
    """
    try:
        Dataset.open(path)
    except DatasetInvalid as error:
        command = " ".join([context.command_path.rstrip(), *_typed_before(context)])
        meant = _find_dataset_around(path) or _find_similar(path)
        if meant is not None:
            what = "inside a dataset, not one itself" if path.exists() else "no such folder"
            hint = f"Did you mean: {command} {_quote(meant)}"
            raise DatasetInvalid(what, path, hint) from error
        if not has_recordings(path):
            raise
        found = find(path)
        if found is None:
            raise no_dataset_yet(path) from error
        return found if path.is_absolute() else Path(os.path.relpath(found))
    return path


def _typed_before(context: typer.Context) -> list[str]:
    """Returns the arguments before DATASET."""
    names = [one.name for one in context.command.params if one.param_type_name == "argument"]
    typed = [context.params[one] for one in names if one in context.params]
    return [_quote(one) for one in typed if isinstance(one, str | Path)]


def _find_or_keep(path: Path) -> Path:
    return find_linked(path) or path


def _find_dataset_around(path: Path) -> Path | None:
    """Returns the dataset that a recording or a folder of recordings is in, as the user typed."""
    inner = absolute(path)
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


def _quote(path: str | Path) -> str:
    return shlex.quote(str(path))
