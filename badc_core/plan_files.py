"""Saved plans: one entry per recording, as CSV or JSON, for people and for the next command.

What entries say is decided where plans are written: `chunks/orchestrate.py` and
`inference/orchestrate.py`.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import require_fetched
from badc_core.atomic import write_text
from badc_core.csv_tables import TableInvalid, read_rows, write_rows
from badc_core.errors import ConfigInvalid
from badc_core.validation import explain_invalid

Entry: TypeAlias = dict[str, Any]
"""Column -> text, number, truth value, list of texts, or None."""

MANIFEST_KEYS = ("manifest_path", "manifest")
"""Where an entry names its manifest: one of these columns is in every plan."""

_ENTRIES = TypeAdapter(list[Entry])
_REMEDY = "Write one: badc chunk orchestrate DATASET --plan-json FILE"


def write_plan_csv(path: Path, columns: Sequence[str], entries: Sequence[Entry]) -> None:
    """Writes a plan as CSV; a list is a cell of JSON, and None is an empty cell.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: it may not be written there.
    """
    text = io.StringIO()
    write_rows(text, columns, ([_cell(entry[name]) for name in columns] for entry in entries))
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
        ContentMissing: it is annexed, and its content is not here.
    """
    require_fetched(path)
    try:
        if path.suffix.lower() == ".json":
            return _ENTRIES.validate_json(path.read_text(encoding="utf-8-sig"))
        return [cells for _, cells in read_rows(path, one_of=MANIFEST_KEYS)]
    except FileNotFoundError as error:
        raise ConfigInvalid("there is no such plan", path, _REMEDY) from error
    except OSError as error:
        raise ConfigInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except ValidationError as error:
        what = f"not a plan, which is a list of objects ({explain_invalid(error)})"
        raise ConfigInvalid(what, path, _REMEDY) from error
    except (TableInvalid, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"not a plan: {error}", path, _REMEDY) from error


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
