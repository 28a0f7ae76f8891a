"""Importing a module from bytes that were hashed, so that no other code runs under their hash.

Python would read a module's file again, or bytecode that it keeps in `__pycache__` and knows by the
file's size and second. Whose module it is, and what it must have, is in `python_function.py`.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType


class _HashedSource(SourceFileLoader):
    """Runs given bytes as the source of a module, and neither reads nor leaves bytecode."""

    def __init__(self, name: str, source: Path, content: bytes) -> None:
        super().__init__(name, str(source))
        self._content = content

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  (only ever asked for its own)
        return self.source_to_code(self._content, self.path)


class _OneModule:
    """Finds one module, for Python's import."""

    def __init__(self, spec: ModuleSpec) -> None:
        self._spec = spec

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        return self._spec if fullname == self._spec.name else None


def import_file(source: Path, content: bytes) -> ModuleType:
    """Returns the module in a file, under a name that no other module has.

    Modules beside it can be imported, also later, unless others of their name are installed. None
    leaves `__pycache__` there: this process is the function's own, and the folder is the user's.

    Args:
        source: the file.
        content: what it was when it was hashed.
    """
    beside = str(source.parent.absolute())
    if beside not in sys.path:
        sys.path.append(beside)
    sys.dont_write_bytecode = True
    name = f"badc_function_{source.stem}"
    spec = _hashed_spec(name, source, content)
    module = module_from_spec(spec)
    sys.modules[name] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)
    return module


def import_installed(name: str, source: Path, content: bytes) -> ModuleType:
    """Returns an installed module; one that is not Python source is imported as usual.

    Args:
        name: of the module, with its packages.
        source: its file.
        content: what that was when it was hashed.
    """
    found = find_module(name)
    if found is None or not isinstance(found.loader, SourceFileLoader):
        return import_module(name)
    spec = _hashed_spec(name, source, content, found.submodule_search_locations)
    finder = _OneModule(spec)
    sys.meta_path.insert(0, finder)
    try:
        return import_module(name)
    finally:
        sys.meta_path.remove(finder)


def find_module(name: str) -> ModuleSpec | None:
    """Returns where a module is; unlike `find_spec`, imports no package around it."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except ValueError:  # no name at all, or a module that says nothing of where it is from
        return None
    path = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path}.{part}"
        spec = PathFinder.find_spec(path, spec.submodule_search_locations)
    return spec


def _hashed_spec(
    name: str, source: Path, content: bytes, folders: list[str] | None = None
) -> ModuleSpec:
    """Returns how to import bytes as a module; `folders` hold a package's modules."""
    loader = _HashedSource(name, source, content)
    spec = spec_from_file_location(name, source, loader=loader, submodule_search_locations=folders)
    if spec is None:
        raise ImportError(f"cannot import {source}")
    return spec
