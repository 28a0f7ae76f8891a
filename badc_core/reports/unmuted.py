"""Pages with what people say, which must not stay where a dataset mutes speech."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from badc_core.annexed_files import lacks_content
from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.speech.stored import muting_mark
from badc_core.stages.fingerprint_files import read_stored, store_outputs

_STAGE = "report_bundle"
_HEAD_BYTES = 2000


def current_mark(dataset: Dataset) -> str:
    """Returns what a page has in its head where speech is muted; empty where it is not."""
    return muting_mark() if dataset.settings.speech.privacy == "mute" else ""


def remove_unmuted_pages(dataset: Dataset, recording_ids: Iterable[str]) -> tuple[str, ...]:
    """Removes pages that are not to be written again, and counts them as damaged no more.

    Args:
        dataset: with its settings; where these do not mute, nothing is removed.
        recording_ids: of the recordings whose pages are judged.

    Returns:
        Those of the pages that are removed.

    Raises:
        StorageFull, OutputUnwritable: a page may not be removed, or that cannot be written down.
    """
    removed = tuple(one for one in recording_ids if remove_unmuted_page(dataset, one))
    for one in removed:
        _forget_page(dataset, one)
    return removed


def remove_unmuted_page(dataset: Dataset, recording_id: str) -> bool:
    """Removes a page that was written before speech was muted, or found as it is now.

    Returns:
        Whether there was one.

    Raises:
        OutputUnwritable: it may not be removed.
    """
    return _remove_if_unmuted(dataset.bundle(recording_id).html, current_mark(dataset).encode())


def remove_unmuted_site(dataset: Dataset) -> None:
    """Removes the pages about a dataset, its stations and its species that show unmuted clips.

    All that were written before speech was muted, or found as it is now, may do so. Those whose
    content is elsewhere stay: they show nothing here.

    Raises:
        OutputUnwritable: one may not be removed.
    """
    mark = current_mark(dataset).encode()
    for page in (dataset.corpus.html, *dataset.corpus.list_pages()):
        if not lacks_content(page):
            _remove_if_unmuted(page, mark)


def _remove_if_unmuted(page: Path, mark: bytes) -> bool:
    """Removes a page whose head does not have a mark, if there is one; returns whether it did."""
    if not mark:
        return False
    # What cannot be read, such as content that is elsewhere, is not known to be muted.
    with suppress(OSError), page.open("rb") as file:
        if mark in file.read(_HEAD_BYTES):
            return False
    try:
        with naming_storage_trouble(page):
            page.unlink()
    except FileNotFoundError:
        return False
    return True


def _forget_page(dataset: Dataset, recording_id: str) -> None:
    path, page = dataset.fingerprints(recording_id), dataset.bundle(recording_id).html
    with suppress(DatasetInvalid):
        output = read_stored(path, recording_id).get(_STAGE)
        if output is None:
            return
        files = {one: its for one, its in output.files.items() if one != dataset.below(page)}
        left = {_STAGE: replace(output, files=files)}
        store_outputs(dataset, path, recording_id, left)
