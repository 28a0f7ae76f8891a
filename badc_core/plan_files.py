"""Saved plans: one entry per recording, as CSV or JSON, for people and for the next command.

What entries say is decided where plans are made: `chunks/orchestrate.py` and
`manifest_runs/orchestrate.py`.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from badc_core.atomic import write_text
from badc_core.errors import ConfigInvalid

Entry: TypeAlias = dict[str, Any]
"""Column -> text, number, truth value, list of texts, or None."""

MANIFEST_KEYS = ("manifest_path", "manifest")
"""Where an entry names its manifest: one of these columns is in every plan."""

_REMEDY = "Make one: badc chunk orchestrate DATASET --plan-json FILE"


def write_plan_csv(path: Path, columns: Sequence[str], entries: Sequence[Entry]) -> None:
    """Writes a plan as CSV; lists stand in their cell as JSON, and None is an empty cell.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: it may not be written there.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(entry[name]) for name in columns] for entry in entries)
    write_text(path, text.getvalue())


def write_plan_json(path: Path, entries: Sequence[Entry]) -> None:
    """Writes a plan as a JSON list of objects.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: it may not be written there.
    """
    write_text(path, json.dumps(list(entries), indent=1, ensure_ascii=False) + "\n")


def read_plan(path: Path) -> list[Entry]:
    """Returns the entries of a plan: JSON if its name ends in `.json`, else CSV, all text.

    Raises:
        ConfigInvalid: absent, neither of the two, or CSV without a column of manifests.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _parse_json(text, path) if path.suffix.lower() == ".json" else _parse_csv(text, path)
    except FileNotFoundError as error:
        raise ConfigInvalid("there is no such plan", path, _REMEDY) from error
    except OSError as error:
        raise ConfigInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise ConfigInvalid(f"not a plan ({error})", path, _REMEDY) from error


def _parse_json(text: str, path: Path) -> list[Entry]:
    content = json.loads(text)
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ConfigInvalid("not a list of objects", path, _REMEDY)
    return content


def _parse_csv(text: str, path: Path) -> list[Entry]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if not {*MANIFEST_KEYS} & {*(reader.fieldnames or ())}:
        raise ConfigInvalid(f"it has no column {' or '.join(MANIFEST_KEYS)}", path, _REMEDY)
    return [{name: cell or "" for name, cell in row.items() if name is not None} for row in reader]


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
