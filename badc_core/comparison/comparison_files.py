"""A comparison of detectors as a file: CSV or Parquet with its rows, or JSON with everything.

Detectors are compared in `comparing.py`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from badc_core.atomic import replacing, write_text
from badc_core.columns import map_texts, write_parquet
from badc_core.comparison.comparing import Comparison
from badc_core.csv_tables import for_spreadsheets

SCHEMA_VERSION = 1
ENDINGS = (".csv", ".json", ".parquet")


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes a comparison, replacing what was there.

    Args:
        path: its ending, one of `ENDINGS`, sets the format.
        comparison: CSV and Parquet have its species only.

    Raises:
        OutputUnwritable: no permission to write there.
        StorageFull: the disk or a quota is full.
    """
    ending = path.suffix.lower()
    if ending == ".json":
        text = json.dumps(_content(comparison), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(path, f"{text}\n")
        return
    with replacing(path) as aside:
        if ending == ".csv":
            pa_csv.write_csv(map_texts(comparison.species, _for_spreadsheets), aside)
        else:
            write_parquet(comparison.species, aside)


def make_notes(comparison: Comparison) -> list[str]:
    """Returns notes for a reader of the figures, a sentence or two each."""
    silent = [table.name for table in comparison.tables if table.covered is None]
    notes = []
    if silent:
        notes.append(
            f"{', '.join(silent)}: the table does not say what was analysed, so only recordings "
            "with detections count, as a whole. The CSV of badc infer aggregate says it."
        )
    notes += [
        f"Left out, {reason}: {_listed(recordings)}."
        for reason, recordings in comparison.left_out.items()
    ]
    if comparison.partly:
        notes.append(
            f"Compared only in the parts that all tables analysed: {_listed(comparison.partly)}."
        )
    notes += [
        f"{table.name} has results of {table.n_settings} detectors or settings."
        for table in comparison.tables
        if table.n_settings > 1
    ]
    notes += [
        f"{table.name}: {table.n_repeated} detections are in it more than once and are counted "
        "once: its recordings were cut into chunks in several ways."
        for table in comparison.tables
        if table.n_repeated
    ]
    notes += [
        f"{common} has several scientific names, each counted separately: {_listed(names)}."
        for common, names in comparison.homonyms.items()
    ]
    return notes


def _for_spreadsheets(texts: pa.ChunkedArray) -> pa.Array:
    return pa.array(map(for_spreadsheets, texts.to_pylist()), texts.type)


def _listed(names: Sequence[str], limit: int = 3) -> str:
    rest = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def _content(comparison: Comparison) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "min_overlap_ms": comparison.rule.min_overlap_ms,
        "tolerance_ms": comparison.rule.tolerance_ms,
        "tables": [
            {
                "name": table.name,
                "path": str(table.path),
                "detectors": [str(one) for one in table.detectors],
                "tells_effort": table.covered is not None,
                "detections": len(table.found),
                "detections_compared": comparison.n_compared[table.name],
            }
            for table in comparison.tables
        ],
        "effort_s": comparison.effort_s,
        "recordings": list(comparison.recordings),
        "partly": list(comparison.partly),
        "left_out": {reason: list(them) for reason, them in comparison.left_out.items()},
        "notes": make_notes(comparison),
        "totals": comparison.totals.to_pylist(),
        "species": comparison.species.to_pylist(),
    }
