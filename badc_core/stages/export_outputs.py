"""Exports as outputs of a dataset: their names as assets, and what is written down of them.

Beside an export's files is `provenance.json`, which lists them with their SHA-256. What the export
was made from is written down as for the corpus (`fingerprint_files.py`), with the bytes of that
list. How exports are written is in `badc_core/exports/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import get_args

from badc_core.datasets.dataset import Dataset
from badc_core.export_settings import ExportName
from badc_core.hashing import digest_json, sha256_bytes
from badc_core.json_texts import parse_object
from badc_core.settings import Settings
from badc_core.stages.fingerprint_files import (
    StoredOutput,
    find_difference,
    store_if_other,
    store_outputs,
    sum_files,
)

EXPORT_CODE_VERSION = "2"
"""Raised by hand when an export is written otherwise from the same results."""

PROVENANCE = "provenance.json"
KIND = "badc export"
_PREFIX = "export_"

EVERY_EXPORT = tuple(f"{_PREFIX}{one}" for one in get_args(ExportName))
"""The assets of all formats there are."""


def export_asset(form: str) -> str:
    """Returns the name of the asset of a format."""
    return f"{_PREFIX}{form}"


def export_assets(settings: Settings) -> tuple[str, ...]:
    """Returns the assets of the formats that the settings ask for."""
    return tuple(map(export_asset, settings.export.formats))


def form_of(asset: str) -> str:
    """Returns the format of which this is the asset's name; empty if it is no such name."""
    return asset.removeprefix(_PREFIX) if asset.startswith(_PREFIX) else ""


def export_fingerprint(corpus: str, form: str) -> str:
    """Returns what an export is made from, by the fingerprint of the corpus."""
    return digest_json([corpus, form, EXPORT_CODE_VERSION])


def store_export_fingerprint(dataset: Dataset, form: str, fingerprint: str) -> StoredOutput:
    """Writes down, and returns, what an export was made from, which was just written.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    output = _describe(dataset, form, fingerprint)
    store_outputs(dataset, dataset.corpus.fingerprints, "", {export_asset(form): output})
    return output


def store_export_if_remade(dataset: Dataset, form: str) -> None:
    """Writes down the bytes of an export that was made again from files, if they are others.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    path, paths = dataset.corpus.fingerprints, [dataset.export(form) / PROVENANCE]
    describe = partial(_describe, dataset, form)
    store_if_other(dataset, path, "", export_asset(form), paths, describe)


def mark_export_due(dataset: Dataset, asset: str) -> None:
    """Has the next run write an export again, whatever it is made from.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    unknown = StoredOutput("", EXPORT_CODE_VERSION, {})
    store_outputs(dataset, dataset.corpus.fingerprints, "", {asset: unknown})


def is_export_as_stored(dataset: Dataset, form: str, output: StoredOutput) -> bool:
    """Returns whether the folder of a format has the export that was written down last.

    Of its files only the list of them is read; `badc verify` reads all.
    """
    path = dataset.export(form) / PROVENANCE
    return find_difference(dataset, [path], output, in_full=True) is None


def _describe(dataset: Dataset, form: str, fingerprint: str) -> StoredOutput:
    files = sum_files(dataset, [dataset.export(form) / PROVENANCE])
    return StoredOutput(fingerprint, EXPORT_CODE_VERSION, files)


@dataclass(frozen=True)
class ExportListing:
    """What an export says of itself.

    Attributes:
        sha256: of `provenance.json`; empty where there is no export.
        files: name -> SHA-256 as BADC wrote it.
        replaced: name -> SHA-256 of files that were being replaced or removed when the process
            was killed: they may still be there.
    """

    sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)

    def accepts(self, name: str, sha256: str) -> bool:
        """Returns whether BADC wrote a file with these bytes under this name."""
        return sha256 in (self.files.get(name), self.replaced.get(name))


def read_listing(folder: Path) -> ExportListing:
    """Returns what the export in a folder says of itself; nothing where there is none."""
    try:
        text = (folder / PROVENANCE).read_bytes()
        content = parse_object(text)
    except (OSError, ValueError):
        return ExportListing()
    if content.get("kind") != KIND:
        return ExportListing()
    return ExportListing(sha256_bytes(text), content["files"], content.get("replaced", {}))
