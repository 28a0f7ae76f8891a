"""The pipelines that come with BADC, which are found by their names."""

from pathlib import Path

SHIPPED = {one.stem: one for one in Path(__file__).parent.glob("*.toml")}


def call_of(path: Path) -> str:
    """Returns what `find_pipeline` needs for a pipeline: the name of one that comes with BADC."""
    return path.stem if path == SHIPPED.get(path.stem) else str(path)


def find_pipeline(given: Path) -> Path:
    """Returns the file of a pipeline, given its path or the name of one that comes with BADC."""
    return given if given.is_file() else SHIPPED.get(str(given), given)
