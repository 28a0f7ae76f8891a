"""Writes the reference pages that repeat what the code says: `make docs`.

A test compares the pages with what this would write.
"""

import sys
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel

from badc_core.chunks.manifest import MANIFEST_COLUMNS
from badc_core.columns import Column
from badc_core.detections.schema import DETECTION_COLUMNS, EFFORT_COLUMNS, SCHEMA_VERSION
from badc_core.settings import Settings

_HERE = Path(__file__).parent


def columns_page() -> str:
    """Returns the page about the columns of detections, effort and manifests."""
    return "\n".join(
        [
            "# Columns",
            "",
            (
                f"Schema version {SCHEMA_VERSION}. Made from `badc_core/detections/schema.py` and "
                "`badc_core/chunks/manifest.py` by `make docs`."
            ),
            "",
            "## detections",
            "",
            (
                "`artifacts/aggregate/<recording_id>.parquet`, and `detections` in DuckDB. A row "
                "is a detection; a chunk without detections has no row here but one in `chunks`. "
                "The CSV of `badc infer aggregate` has one column more, the last: `overlap_ms`, "
                "how much of the chunk's start is left to the chunk before, ms."
            ),
            "",
            *_column_rows(DETECTION_COLUMNS),
            "",
            "## chunks",
            "",
            (
                "`artifacts/effort/<recording_id>.parquet`, and `chunks` in DuckDB. A row is a "
                "chunk of a recording, whatever became of it."
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
    lines = [
        "# Settings",
        "",
        (
            "In `badc.toml` in the dataset's folder; all are optional. Made from "
            "`badc_core/settings.py` and `badc_core/detector_settings.py` by `make docs`."
        ),
        "",
    ]
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


PAGES = {"columns.md": columns_page, "settings.md": settings_page}


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
