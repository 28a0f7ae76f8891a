"""Whether the files of a corpus can be whole."""

from collections.abc import Mapping
from contextlib import suppress

from badc_core.annexed_files import lacks_content
from badc_core.corpus.finished_database import explain_damage
from badc_core.corpus.parts import explain_lost_file, read_part_list
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.reports.page import is_whole_page
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.fingerprint_files import StoredOutput, find_difference, read_stored


def explain_corpus_damage(dataset: Dataset) -> str:
    """Returns which file of a corpus is missing or damaged, and how; empty if none seems so.

    A file whose content is elsewhere is not damaged. Nothing is read in full.
    """
    corpus = dataset.corpus
    here = [path for path in (corpus.duckdb, corpus.html) if not lacks_content(path)]
    for path in here:
        if not path.is_file():
            return f"{path.name} is missing"
    why = explain_damage(corpus.duckdb) if corpus.duckdb in here else ""
    if why:
        return f"{corpus.duckdb.name} is damaged ({why})"
    lost = "" if lacks_content(corpus.parts) else _explain_lost_part(corpus)
    if lost:
        return lost
    if corpus.html in here and not is_whole_page(corpus.html):
        return f"{corpus.html.name} is damaged (it is cut off)"
    return _explain_lost_output(dataset)


def _explain_lost_output(dataset: Dataset) -> str:
    """Returns which page or table is not as it was written; empty if all are."""
    stored: Mapping[str, StoredOutput] = {}
    with suppress(DatasetInvalid):
        stored = read_stored(dataset.corpus.fingerprints, "")
    for output in (stored[one] for one in CORPUS_ASSETS if one in stored):
        paths = [dataset.root / one for one in output.files]
        # Who writes to the database spoils nothing that others read from it.
        others = [one for one in paths if one != dataset.corpus.duckdb]
        if lost := find_difference(dataset, others, output, in_full=False):
            return f"{lost.relative_to(dataset.corpus.folder)} is missing or damaged"
    return ""


def _explain_lost_part(corpus: CorpusPaths) -> str:
    try:
        listed = read_part_list(corpus.parts)
    except DatasetInvalid as error:
        return f"{corpus.parts.name} is damaged ({error.what})"
    return next(filter(None, (explain_lost_file(corpus, one) for one in listed.parts)), "")
