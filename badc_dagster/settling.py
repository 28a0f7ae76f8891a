"""Which files a tick of the sensor registers: new or changed, and no longer being copied."""

from collections.abc import Mapping, Sequence

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import ScanOutcome, read_registry, register_recordings
from badc_core.recordings.scan import FoundAudio, find_audio
from badc_core.recordings.seen_times import read_seen_times

MAX_FILES_PER_TICK = 500


def register_settled(
    dataset: Dataset, seen: Mapping[str, Sequence[int]], now_s: float
) -> tuple[ScanOutcome, dict[str, list[int]]]:
    """Registers new and changed files that have settled; the others keep what is known of them.

    Args:
        dataset: whose files.
        seen: path -> size and modification time at the tick before, of files that had not settled.
        now_s: the clock, in seconds since 1970.

    Returns:
        what came of it, and what the next tick is to be given as `seen`.
    """
    registry = read_registry(dataset.registry)
    rows = registry.by_path | read_seen_times(dataset, registry.by_path)
    known: list[FoundAudio] = []
    new: list[FoundAudio] = []
    for one in find_audio(dataset):
        (known if _is_as_before(one, rows.get(one.path)) else new).append(one)
    if (
        known
        and not new
        and len(known) == len(registry)
        and all(one.modified_ns is None or rows[one.path].fingerprint for one in known)
    ):
        return ScanOutcome(registry, total=len(registry)), {}  # as it would be found out again
    ready = settled(new, seen, dataset.settings.recordings.min_age_s, now_s)
    ready = ready[:MAX_FILES_PER_TICK]
    paths = {one.path for one in ready}
    waiting = {
        one.path: [one.size_bytes or 0, one.modified_ns or 0]
        for one in new
        if one.path not in paths
    }
    return register_recordings(dataset, [*known, *ready]), waiting


def _is_as_before(one: FoundAudio, row: RegisteredRecording | None) -> bool:
    if row is None or one.modified_ns is None:
        return row is not None  # of content that is elsewhere there is nothing to compare
    return (row.size_bytes, row.modified_ns) == (one.size_bytes, one.modified_ns)


def settled(
    found: Sequence[FoundAudio], seen: Mapping[str, Sequence[int]], min_age_s: float, now_s: float
) -> list[FoundAudio]:
    """Returns the files that have stopped growing: old enough, and unchanged since last seen.

    Args:
        found: files not registered yet.
        seen: path -> size and modification time at the tick before.
        min_age_s: younger ones are still being copied.
        now_s: the clock, in seconds since 1970.
    """
    return [
        one
        for one in found
        if one.modified_ns is None  # an annexed file, which is whole wherever its content is
        or (
            one.size_bytes
            and now_s - one.modified_ns / 1e9 >= min_age_s
            and list(seen.get(one.path, ())) == [one.size_bytes, one.modified_ns]
        )
    ]
