"""Importing a module from bytes that were hashed, so that no other code runs under their hash.

Python would read a module's file again, or bytecode that it keeps in `__pycache__` and knows by the
file's size and second. Whose module it is, and what it must have, is in `python_function.py`.
"""

import sys
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


def import_file(source: Path, content: bytes) -> ModuleType:
    """Returns the module in a file, under a name that no other module has.

    Modules beside it can be imported, also later, unless others of their name are installed. None
    leaves `__pycache__` there: this process is the function's own, and the folder is the user's.
    """
    beside = str(source.parent.absolute())
    if beside not in sys.path:
        sys.path.append(beside)
    sys.dont_write_bytecode = True
    return _run_as(f"badc_function_{source.stem}", source, content)


def import_installed(name: str, source: Path, content: bytes) -> ModuleType:
    """Returns an installed module; one that is not Python source is imported as usual."""
    found = find_module(name)
    if found is None or not isinstance(found.loader, SourceFileLoader):
        return import_module(name)
    if around := name.rpartition(".")[0]:
        import_module(around)
    return _run_as(name, source, content, found.submodule_search_locations)


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


def _run_as(
    name: str, source: Path, content: bytes, folders: list[str] | None = None
) -> ModuleType:
    """Returns bytes as a module of a name; `folders` hold a package's modules."""
    loader = _HashedSource(name, source, content)
    spec = spec_from_file_location(name, source, loader=loader, submodule_search_locations=folders)
    if spec is None:
        raise ImportError(f"cannot import {source}")
    module = sys.modules[name] = module_from_spec(spec)
    loader.exec_module(module)
    return module
