"""BADC as a Dagster project: the asset graph over `badc_core`, and nothing else.

`defs` is made when Dagster asks for it, so that importing a module of this package (a worker, the
command line) does not import Dagster.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Returns `defs`, built on first use."""
    if name == "defs":
        from badc_dagster.definitions import defs  # noqa: PLC0415  (the reason for this function)

        return defs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["defs"]
