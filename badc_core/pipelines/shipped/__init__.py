"""The pipelines that come with BADC, which are found by their names."""

from pathlib import Path

SHIPPED = {one.stem: one for one in Path(__file__).parent.glob("*.toml")}


def find_pipeline(given: Path) -> Path:
    """Returns the file of a pipeline, given its path or the name of one that comes with BADC."""
    return given if given.is_file() else SHIPPED.get(str(given), given)
