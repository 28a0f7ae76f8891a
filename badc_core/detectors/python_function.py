"""A Python function of the user's own that scores windows of sound.

It is imported only in the worker: its identity follows from its source file, which is imported in
`source_import.py`. Labels, windows and checks of scores are in `own_model.py`.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from badc_core.annexed_files import require_fetched
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.own_model import (
    VERSION_LENGTH,
    OwnModel,
    cannot_read,
    hash_model_file,
    identify_model,
    make_failure,
    read_model_labels,
    require_file,
)
from badc_core.detectors.source_import import find_module, import_file, import_installed
from badc_core.errors import ConfigInvalid, DetectorMissing, OutOfMemory
from badc_core.hashing import sha256_bytes, sha256_text

USES_PLACE = False

_SETTING = "detector.model.function"
_REMEDY = "Set it in badc.toml to package.module:name or path/to/file.py:name"


class PythonFunction(OwnModel):
    """The function, imported."""

    range_remedy = "Let the function return scores from 0 to 1, of shape [n_windows, n_labels]"

    def __init__(self, settings: DetectorSettings) -> None:
        """Imports the function and calls it once.

        Raises:
            ConfigInvalid: a setting is missing, there is no such function, it fails, or a file of
                the model changed meanwhile.
            DetectorMissing: a file is not there, or the module cannot be imported.
            ContentMissing: a file is annexed, and its content is not here.
            OutOfMemory: memory does not suffice for a window.
        """
        self._source = _find_source(settings)
        content = _read(self._source)
        super().__init__(settings, _identify(settings, sha256_bytes(content)))
        self._place = settings.model.function
        self._function = _import_function(settings, self._source, content)
        self.try_out()
        self.identity.require_same(identify(settings))

    @property
    def place(self) -> str:
        """What the setting says."""
        return self._place

    def _run(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        try:
            # A copy, since a function may write to what it is given.
            return np.asarray(self._function(windows.copy()))
        except Exception as error:
            what = f"the function raised {_describe(error)}"
            where = _where(error, self._source)
            remedy = "Correct it, or set detector.model.batch_windows lower if memory ran out"
            raise make_failure(error, what, where, remedy) from error


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the function's identity, which changes with its name and its source file.

    Raises:
        ConfigInvalid: a setting is missing.
        DetectorMissing: there is no such module or file.
        ContentMissing: a file is annexed, and its content is not here.
    """
    return _identify(settings, hash_model_file(_find_source(settings)))


def _identify(settings: DetectorSettings, source_sha256: str) -> DetectorIdentity:
    _, name = settings.model.function_place
    digest = sha256_text(f"{name}\0{source_sha256}")
    model = require_file(settings.model.file, "file") if settings.model.file else None
    return identify_model(
        settings, digest[:VERSION_LENGTH], model, uses_gpu=settings.model.uses_gpu
    )


labels = read_model_labels
"""What the entry point calls."""


load = PythonFunction
"""What the entry point calls."""


def _find_source(settings: DetectorSettings) -> Path:
    """Returns the file that a function is written in, without importing it."""
    place, name = settings.model.function_place
    if not place or not name.isidentifier():
        given = settings.model.function
        what = f"{given!r} names no function in a module" if given else "no function is given"
        raise ConfigInvalid(what, _SETTING, _REMEDY)
    if place.endswith(".py"):
        require_fetched(Path(place))
        if not Path(place).is_file():
            raise DetectorMissing("there is no such file", place, _REMEDY)
        return Path(place)
    spec = find_module(place)
    if spec is None:
        remedy = f"Install it into BADC's environment ({sys.prefix}), or name its file"
        raise DetectorMissing(f"there is no module {place!r}", _SETTING, remedy)
    if not spec.origin or not spec.has_location:
        raise ConfigInvalid(f"the module {place!r} has no source file", _SETTING, _REMEDY)
    return Path(spec.origin)


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise cannot_read(source, error) from error


def _import_function(
    settings: DetectorSettings, source: Path, content: bytes
) -> Callable[[Any], Any]:
    place, name = settings.model.function_place
    try:
        if place.endswith(".py"):
            module = import_file(source, content)
        else:
            module = import_installed(place, source, content)
    except Exception as error:
        failure = make_failure(
            error,
            f"importing it raised {_describe(error)}",
            _where(error, source),
            "Correct the module",
        )
        if isinstance(failure, OutOfMemory):
            raise failure from error
        raise DetectorMissing(failure.what, failure.where, failure.remedy) from error
    function = getattr(module, name, None)
    if not callable(function):
        what = (
            f"there is no function {name!r}" if function is None else f"{name!r} is not a function"
        )
        raise ConfigInvalid(what, source, f"Correct {_SETTING} in badc.toml")
    return function  # type: ignore[no-any-return]  # what it is shows when it is called


def _describe(error: Exception) -> str:
    """Returns an error's type and message in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _where(error: Exception, source: Path) -> str:
    """Returns file and line of an error: in the function's own file if it passed through that."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [one.lineno for one in frames if Path(one.filename) == source]
    return f"{source}:{lines[-1]}" if lines else str(source)
