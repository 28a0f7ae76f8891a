"""Whether a corpus keeps what `rules.py` promises."""

from badc_core.corpus.parts import read_part_list
from badc_core.corpus.reading import open_corpus
from badc_core.corpus.rules import CHECKS_OF_ALL, CheckOutcome, sum_up_parts, verify_corpus
from badc_core.datasets.dataset import Dataset


def check_corpus(dataset: Dataset) -> tuple[CheckOutcome, ...]:
    """Returns what every rule finds in a corpus.

    What is true of a part was looked at as it was written; its files never change.

    Raises:
        ContentMissing, DatasetInvalid: as `open_corpus`.
    """
    with open_corpus(dataset) as connection:
        found = verify_corpus(connection, CHECKS_OF_ALL)
    return (*found, *sum_up_parts(read_part_list(dataset.corpus.parts).parts))
