"""Writes what the pages repeat from the code: `make docs`.

A test compares the pages with what this would write.
"""

import re
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel

from badc_core.chunks.manifest import MANIFEST_COLUMNS
from badc_core.columns import Column
from badc_core.detections.schema import DETECTION_COLUMNS, EFFORT_COLUMNS, SCHEMA_VERSION
from badc_core.inference.raw_result import RAW_COLUMNS
from badc_core.settings import Settings

_HERE = Path(__file__).parent
_ARCHITECTURE = "../ARCHITECTURE.md"
_LAYERS = "## Layers"

_COLUMNS_INTRODUCTION = """\
# Columns

To see every detection of a dataset with its station and score, for example in Python:

```python
import duckdb

corpus = duckdb.connect("my-dataset/artifacts/corpus/corpus.duckdb", read_only=True)
corpus.execute("SET file_search_path = 'my-dataset/artifacts/corpus'")
print(corpus.sql("SELECT location, detection_utc, label_name, confidence FROM detections"))
```

The rows are in Parquet files beside the database ([how they lie](corpus.md)), and the second line
says where; in a terminal in that folder `duckdb corpus.duckdb` needs no such line.

This page explains the columns. It is generated from `badc_core/detections/schema.py` and
`badc_core/chunks/manifest.py` by `make docs`.
"""

_SETTINGS_INTRODUCTION = """\
# Settings

To change how a dataset is analysed, write the settings that differ from their defaults into a file
`badc.toml` in its folder, and run `badc run` again. For example:

```toml
[recordings]
timezone = "America/Edmonton"

[detector]
min_score = 0.4
exclude = ["Engine"]

[detector.thresholds]
"Tennessee Warbler" = 0.6
```

Only what a change affects is done again. Unknown settings are errors that list the known ones. This
page is generated from `badc_core/settings.py` and `badc_core/detector_settings.py` by `make docs`.
"""


def columns_page() -> str:
    """Returns the page about the columns of detections, effort and manifests."""
    return "\n".join(
        [
            _COLUMNS_INTRODUCTION,
            f"The schema version is {SCHEMA_VERSION}.",
            "",
            "## detections",
            "",
            (
                "`artifacts/aggregate/<recording_id>.parquet`, and `detections` in DuckDB. A row "
                "is a detection. A chunk without detections has no row here, but one in `chunks`. "
                "The CSV of `badc infer aggregate` has one more column, the last: `overlap_ms`, "
                "the part of the chunk, from its start, that belongs to the chunk before, ms."
            ),
            "",
            *_column_rows(DETECTION_COLUMNS),
            "",
            "## raw detections",
            "",
            (
                "`artifacts/raw_detections/<recording_id>.parquet`: everything the detector found, "
                "down to `detector.score_floor`, before thresholds and lists of species."
            ),
            "",
            *_column_rows(RAW_COLUMNS),
            "",
            "## chunks",
            "",
            (
                "`artifacts/effort/<recording_id>.parquet`, and `chunks` in DuckDB. A row is a "
                "chunk of a recording, with its status."
            ),
            "",
            *_column_rows(EFFORT_COLUMNS),
            "",
            "## chunk manifest",
            "",
            "`manifests/<recording_id>.csv`. A row is a chunk of the recording, as planned.",
            "",
            *_column_rows(MANIFEST_COLUMNS),
            "",
        ]
    )


def settings_page() -> str:
    """Returns the page about the settings in `badc.toml`."""
    lines = [_SETTINGS_INTRODUCTION]
    defaults = Settings()
    for name in Settings.model_fields:
        lines += _section(name, getattr(defaults, name))
    return "\n".join(lines)


def _section(name: str, section: BaseModel) -> list[str]:
    """Returns the lines about a section and, after it, the sections inside it."""
    lines = [f"## [{name}]", "", f"{section.__doc__}", ""]
    lines += ["| setting | default | meaning |", "|---|---|---|"]
    inner = []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            inner += _section(f"{name}.{key}", value)
        else:
            lines.append(f"| `{key}` | `{_default(value)}` | {field.description} |")
    return [*lines, "", *inner]


def architecture_page() -> str:
    """Returns the page about the architecture, with the layers that import-linter checks."""
    pyproject = tomllib.loads((_HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(
        contract["layers"]
        for contract in pyproject["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["badc_core"]
    )
    before, heading, after = (_HERE / _ARCHITECTURE).read_text(encoding="utf-8").partition(_LAYERS)
    block = "\n".join(["```", *layers, "```"])
    return (
        before + heading + re.sub(r"```\n.*?```", lambda _: block, after, count=1, flags=re.DOTALL)
    )


PAGES = {
    "columns.md": columns_page,
    "settings.md": settings_page,
    _ARCHITECTURE: architecture_page,
}


def _column_rows(columns: tuple[Column, ...]) -> list[str]:
    rows = [
        f"| `{one.name}` | {_type_name(one.type)} | {'yes' if one.nullable else 'no'} "
        f"| {one.meaning} |"
        for one in columns
    ]
    return ["| column | type | may be missing | meaning |", "|---|---|---|---|", *rows]


def _type_name(kind: pa.DataType) -> str:
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' for one in value).replace("|", "\\|") + "]"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def main() -> int:
    """Writes every page."""
    for name, page in PAGES.items():
        (_HERE / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
