"""Writes down what outputs were made from that were made before BADC did so.

What is written is in `fingerprint_files.py`.
"""

from collections.abc import Mapping

from badc_core.annexed_files import lacks_content
from badc_core.datasets.dataset import Dataset
from badc_core.stages.fingerprint_files import (
    StoredOutput,
    describe_output,
    list_stored,
    store_outputs,
)
from badc_core.stages.stage import STAGES


def store_where_lacking(dataset: Dataset, current: Mapping[str, Mapping[str, str]]) -> None:
    """Writes files of fingerprints for recordings that have none.

    An output is left out while the content of any of its files is elsewhere: which bytes that has
    cannot be known here.

    Args:
        dataset: whose recordings.
        current: stage -> recording_id -> fingerprint of outputs made by the code of now.

    Raises:
        StorageFull, OutputUnwritable: a file cannot be written.
    """
    have = list_stored(dataset).keys()
    lacking = dict.fromkeys(one for made in current.values() for one in made if one not in have)
    for one in lacking:
        outputs: dict[str, StoredOutput] = {}
        for stage, made in current.items():
            if one in made and not any(map(lacks_content, STAGES[stage].files(dataset, one))):
                outputs[stage] = describe_output(dataset, stage, one, made[one])
        if outputs:
            # What a run stores meanwhile is about newer outputs.
            store_outputs(dataset, dataset.fingerprints(one), one, outputs, replaces=False)
