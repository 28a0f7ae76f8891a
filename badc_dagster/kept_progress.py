"""What a tick of the sensor found, kept for the next one in the same process.

A code server evaluates a tick every half minute. Where nothing has changed that decides what is
due, what was found stays right: to find it again takes seconds in a dataset of 100,000 recordings.
Every few minutes all is read again, since a file can be changed in ways that show in no folder's
time.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import Registry
from badc_core.stages.listings import forget_listings
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.corpus_fingerprint import corpus_fingerprint
from badc_dagster.due import DueFinder, Progress
from badc_dagster.fingerprint_tags import forget_recorded
from badc_dagster.known_fingerprints import KnownFingerprints
from badc_dagster.partitions import register_keys
from badc_dagster.taking_over import GraphPlace

READ_AGAIN_S = 600.0


@dataclass
class KeptProgress:
    """How far a dataset is, as of the last tick.

    Attributes:
        read_at_s: when all was read again, in seconds since 1970.
        registry: of which all recordings have partition keys.
    """

    read_at_s: float
    registry: Registry | None = None
    _inputs: tuple[Any, ...] = ()
    _progress: Progress | None = None
    _corpus: str = ""

    def register_keys(self, place: GraphPlace, registry: Registry) -> int:
        """Adds the partition keys that are new; returns how many."""
        if registry is self.registry:
            return 0
        n_new = register_keys(place[0], place[1], registry.ids)
        self.registry = registry
        return n_new

    def find(
        self,
        place: GraphPlace,
        registry: Registry,
        left_out: Collection[str],
        known: KnownFingerprints | None,
    ) -> Progress:
        """Returns how far the recordings are.

        Args:
            place: the dataset, and where it is in the asset graph.
            registry: its recordings.
            left_out: those of them that are not to be looked at.
            known: what was just read of all outputs; None to read it.

        Raises:
            DetectorMissing, ConfigInvalid: the settings name a detector that cannot run.
        """
        finder = DueFinder(*place)
        inputs = (*finder.fingerprints.inputs, registry, tuple(sorted(left_out)))
        inputs += _read_inputs(place[2], known)
        if self._progress is None or self._inputs != inputs or known is None or known.not_recorded:
            self._progress = finder.find(registry.without(left_out), known)
            self._inputs, self._corpus = inputs, ""
        return self._progress

    def corpus(self, place: GraphPlace, registry: Registry) -> str:
        """Returns what the corpus would be made from, as of the progress found last."""
        self._corpus = self._corpus or corpus_fingerprint(*place, registry)
        return self._corpus


def _read_inputs(dataset: Dataset, known: KnownFingerprints | None) -> tuple[Any, ...]:
    """Returns what is there of outputs: the same objects where nothing has changed."""
    work = Work(dataset.work_folder)
    return (
        *(known.recorded.values() if known is not None else ()),
        *(stage.list_made(dataset) for stage in STAGES.values()),
        *(work.dirty(stage) for stage in STAGES),
        read_failures(dataset),
    )


_kept: dict[tuple[str, str], KeptProgress] = {}


def kept_progress(place: GraphPlace, now_s: float) -> KeptProgress:
    """Returns what this process keeps of a dataset; nothing if it is too old.

    Args:
        place: the dataset, and where it is in the asset graph.
        now_s: the time, in seconds since 1970.
    """
    key = str(place[0].root_directory), str(place[2].root)
    kept = _kept.get(key)
    if kept is None or not 0 <= now_s - kept.read_at_s < READ_AGAIN_S:
        forget_listings()
        forget_recorded()
        kept = _kept[key] = KeptProgress(now_s)
    return kept
