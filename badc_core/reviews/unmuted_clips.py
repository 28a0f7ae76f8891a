"""Sounds of queues with what people say, which must not stay where a dataset mutes speech."""

import os
from contextlib import suppress

from badc_core.atomic import naming_storage_trouble, remove_folder
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.review_paths import QueuePaths
from badc_core.reports.unmuted import current_mark
from badc_core.reviews.queue import list_queues

_HEAD_BYTES = 2000


def remove_unmuted_clips(dataset: Dataset) -> list[str]:
    """Removes the sounds and pages of queues that were cut before speech was muted.

    Also of those cut before speech was found as it is now. Their tables stay.

    Args:
        dataset: with its settings; where these do not mute, nothing is removed.

    Returns:
        The names of these queues.

    Raises:
        OutputUnwritable: a file may not be removed.
    """
    mark = current_mark(dataset).encode()
    if not mark:
        return []
    unmuted = [
        one for one in list_queues(dataset) if not _is_muted(dataset.reviews.queue(one), mark)
    ]
    return [one for one in unmuted if _remove_sounds(dataset.reviews.queue(one))]


def _is_muted(queue: QueuePaths, mark: bytes) -> bool:
    # What cannot be read is not known to be muted.
    with suppress(OSError), queue.page.open("rb") as file:
        return mark in file.read(_HEAD_BYTES)
    return False


def _remove_sounds(queue: QueuePaths) -> bool:
    """Returns whether there were any."""
    were_there = os.path.lexists(queue.clips) or os.path.lexists(queue.page)
    remove_folder(queue.clips)
    with naming_storage_trouble(queue.page):
        queue.page.unlink(missing_ok=True)
    return were_there
