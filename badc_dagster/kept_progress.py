"""What a tick of the sensor found, kept for the next one in the same process.

A code server evaluates a tick every half minute. Where nothing has changed that decides what is
due, what was found stays right: to find it again takes seconds in a dataset of 100,000 recordings.
Where something has, only recordings that it concerns are looked at. Every few minutes all is read
again, since a file can be changed in ways that show in no folder's time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Self

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import read_failures
from badc_core.recordings.registry import Registry
from badc_core.stages.listings import forget_listings
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.corpus_fingerprint import corpus_fingerprints
from badc_dagster.due import DueFinder, Progress
from badc_dagster.fingerprint_tags import forget_recorded
from badc_dagster.known_fingerprints import KnownFingerprints
from badc_dagster.partitions import register_keys
from badc_dagster.taking_over import GraphPlace

READ_AGAIN_S = 600.0

_MOST_ALONE = 1000
"""Where more recordings are concerned, all are looked at."""


@dataclass(frozen=True)
class _Inputs:
    """What decides what is due: the same objects where nothing has changed.

    Attributes:
        settings: of all recordings.
        tables: recording_id -> a row of the registry, or what an output was made from.
        sets: recordings whose outputs are there, are dirty, or that are not looked at.
        failures: what failed, which decides what the corpus is made from.
    """

    settings: tuple[Any, ...] = ()
    tables: tuple[Mapping[str, Any], ...] = ()
    sets: tuple[Set[str], ...] = ()
    failures: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        dataset: Dataset,
        settings: tuple[Any, ...],
        registry: Registry,
        left_out: Collection[str],
        known: KnownFingerprints,
    ) -> Self:
        """Returns what there is now."""
        work = Work(dataset.work_folder)
        dirty = (work.dirty(stage) for stage in STAGES)
        sets = (*known.made.values(), *dirty, frozenset(left_out))
        tables = registry.by_id, *known.recorded.values()
        return cls(settings, tables, sets, read_failures(dataset))

    def find_changed(self, before: Self) -> set[str] | None:
        """Returns the recordings that what has changed concerns; None for all."""
        if self.settings != before.settings or len(self.tables) != len(before.tables):
            return None
        changed = set[str]()
        for now, old in zip(self.tables, before.tables, strict=True):
            changed.update(_differing(now, old) if now is not old else ())
        for these, those in zip(self.sets, before.sets, strict=True):
            changed.update(these ^ those if these is not those else ())
        return changed if len(changed) <= _MOST_ALONE else None


def _differing(now: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    yield from (one for one, value in now.items() if old.get(one) != value)
    yield from old.keys() - now.keys()


@dataclass
class KeptProgress:
    """How far a dataset is, as of the last tick.

    Attributes:
        read_at_s: when all was read again, in seconds since 1970.
        registry: of which all recordings have partition keys.
    """

    read_at_s: float
    registry: Registry | None = None
    _inputs: _Inputs = field(default_factory=_Inputs)
    _progress: Progress | None = None
    _corpus: Mapping[str, str] = field(default_factory=dict)

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
        if known is None or known.not_recorded:
            # What files say shows in none of the inputs.
            self._inputs, self._corpus = _Inputs(), {}
            self._progress = finder.find(registry.without(left_out), known)
            return self._progress
        before = self._inputs
        now = _Inputs.read(place[2], finder.fingerprints.inputs, registry, left_out, known)
        changed = now.find_changed(before)
        if changed is None or self._progress is None:
            self._progress = finder.find(registry.without(left_out), known)
        elif changed:
            some = changed.intersection(registry.by_id).difference(left_out)
            rows = [registry.by_id[one] for one in sorted(some)]
            self._progress.replace(changed, finder.find_some(rows))
        if changed is None or changed or now.failures != before.failures:
            self._corpus = {}
        self._inputs = now
        return self._progress

    def corpus(
        self, place: GraphPlace, registry: Registry, missing: Sequence[str]
    ) -> Mapping[str, str]:
        """Returns what the corpus assets would be made from, as of the progress found last."""
        self._corpus = self._corpus or corpus_fingerprints(*place, registry, missing)
        return self._corpus


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
