"""Recordings whose file or its content is not here: what they gave stays, but counts once.

Files that were only renamed are found in `registry.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from badc_core.audio.containers import require_content
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ContentMissing, UnreadableRecording
from badc_core.recordings.gone import find_gone
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import Registry


def find_missing(
    dataset: Dataset, recordings: Collection[RegisteredRecording] | Registry
) -> tuple[str, ...]:
    """Returns the recording_ids of those without a file or link, in order."""
    gone = find_gone(dataset, (one.path for one in recordings))
    return tuple(one.recording_id for one in recordings if one.path in gone)


def find_absent(dataset: Dataset, recordings: Iterable[RegisteredRecording]) -> tuple[str, ...]:
    """Returns the recording_ids of those whose sound is not on this machine, in order.

    The file is gone, or its content is elsewhere, such as that of an annexed file.
    """
    return tuple(one.recording_id for one in recordings if _is_absent(dataset.audio(one.path)))


def find_superseded(dataset: Dataset, registry: Registry) -> dict[str, str]:
    """Returns missing recordings whose content is there under another name -> that name.

    Such as copies that were deleted, or files that were renamed before BADC could tell. To count
    them would be to count their sound twice.
    """
    counts = Counter(one.fingerprint for one in registry)
    groups: dict[tuple[int | None, str], list[RegisteredRecording]] = defaultdict(list)
    for one in registry:
        if one.fingerprint and one.size_bytes and counts[one.fingerprint] > 1:
            groups[one.size_bytes, one.fingerprint].append(one)
    alike = [group for group in groups.values() if len(group) > 1]
    missing = set(find_missing(dataset, [one for group in alike for one in group]))
    superseded: dict[str, str] = {}
    for group in alike:
        here = [one.recording_id for one in group if one.recording_id not in missing]
        if here:
            superseded |= {
                one.recording_id: here[0] for one in group if one.recording_id in missing
            }
    return superseded


def _is_absent(path: Path) -> bool:
    try:
        require_content(path)
    except ContentMissing:
        return True
    except UnreadableRecording:
        return False
    return False
