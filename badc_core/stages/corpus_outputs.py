"""The outputs about all recordings together: their files, and what is written down of them.

What else is written down is in `fingerprint_files.py`.
"""

from functools import partial
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.stages.fingerprint_files import (
    StoredOutput,
    store_if_other,
    store_outputs,
    sum_files,
)
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT

CORPUS_ASSETS = (CORPUS_DETECTIONS, CORPUS_REPORT)

CORPUS_CODE_VERSION = "15"
"""Raised by hand when the corpus assets give different results for the same input."""


def corpus_file(dataset: Dataset, asset: str) -> Path:
    """Returns the file of a corpus asset that must be there."""
    return {CORPUS_DETECTIONS: dataset.corpus.duckdb, CORPUS_REPORT: dataset.corpus.html}[asset]


def store_corpus_fingerprint(dataset: Dataset, asset: str, fingerprint: str) -> StoredOutput:
    """Writes down, and returns, what a file of the corpus was made from, which was just written.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    output = _describe(dataset, asset, fingerprint)
    store_outputs(dataset, dataset.corpus.fingerprints, "", {asset: output})
    return output


def store_corpus_if_remade(dataset: Dataset, asset: str) -> None:
    """Writes down the bytes of a corpus asset that was made again from files, if they are others.

    A database has others each time, so nobody can tell that it has the same content: it is due.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    path, paths = dataset.corpus.fingerprints, [corpus_file(dataset, asset)]
    store_if_other(dataset, path, "", asset, paths, partial(_describe, dataset, asset))


def _describe(dataset: Dataset, asset: str, fingerprint: str) -> StoredOutput:
    corpus = dataset.corpus
    others = corpus.list_pages()
    if asset == CORPUS_DETECTIONS:
        others = [corpus.parts, *sorted(corpus.summary.glob("*"))]
    files = sum_files(dataset, (corpus_file(dataset, asset), *others))
    return StoredOutput(fingerprint, CORPUS_CODE_VERSION, files)
