"""Which stages of a manifest must run again, because their outputs are not what they wrote."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from badc_core.csv_tables import TableInvalid
from badc_core.file_names import absolute
from badc_core.jobs.layout import FAILED, RUNNING, SKIPPED, SUCCESS, Json, known_stages, status_of
from badc_core.jobs.manifest_files import load_manifest
from badc_core.jobs.outputs import explain_difference, read_table

_REASONS = {
    RUNNING: "it has not ended: it runs, or was killed",
    FAILED: "it failed",
    SKIPPED: "it was skipped",
}


def find_stages_to_repeat(folder: Path, *, in_full: bool = True) -> dict[str, str]:
    """Returns each stage of a manifest that must run again, with the reason.

    Must be repeated: what has not succeeded, what wrote files that are gone, or have another size
    or content by now, and what read files of such a stage. Where the folder was moved, files that
    were in it are looked for in it.

    Args:
        folder: of the manifest.
        in_full: compare checksums, which reads every output; else only sizes.
    """
    manifest = load_manifest(folder) or {}
    stages: dict[str, Json] = {
        name: manifest["stages"].get(name) or {"status": status_of(manifest, name)}
        for name in known_stages(manifest)
    }
    reasons = {
        name: reason
        for name, record in stages.items()
        if (reason := _explain(Path(folder), record, in_full))
    }
    while late := _readers(stages, reasons):
        reasons.update(late)
    return {name: reasons[name] for name in stages if name in reasons}


def _explain(folder: Path, record: Json, in_full: bool) -> str:
    """Returns why a stage must run again; empty if it need not."""
    if record["status"] != SUCCESS:
        error = record.get("error")
        return _REASONS[record["status"]] + (f": {error}" if error else "")
    try:
        for written in _written(folder, record):
            place = _place(folder, record, written)
            difference = explain_difference(place, written, in_full=in_full)
            if difference:
                return difference
    except TableInvalid as error:
        return f"a table of its outputs is damaged: {error}"
    return ""


def _written(folder: Path, record: Json) -> Iterator[Mapping[str, Any]]:
    """Yields what a record says of each output, and of those in its tables."""
    for output in record.get("outputs", {}).values():
        yield output
        if "n_files" in output:
            yield from read_table(_place(folder, record, output))


def _place(folder: Path, record: Json, written: Mapping[str, Any]) -> Path:
    """Returns where an output is now."""
    path, before = Path(str(written.get("path"))), record.get("folder")
    if isinstance(before, str) and path.is_relative_to(before):
        return absolute(folder) / path.relative_to(before)
    return path


def _readers(stages: Mapping[str, Json], reasons: Mapping[str, str]) -> dict[str, str]:
    """Returns stages without a reason yet that read an output of one with a reason."""
    changing = {
        str(output.get("path")): name
        for name in reasons
        for output in stages[name].get("outputs", {}).values()
    }
    return {
        name: f"it reads {path}, which {changing[path]} writes again"
        for name, record in stages.items()
        if name not in reasons
        for path in _paths_read(record)
        if path in changing
    }


def _paths_read(record: Json) -> list[str]:
    files = record.get("input_files", [])
    return [str(one.get("path")) for one in files if isinstance(one, dict)]
