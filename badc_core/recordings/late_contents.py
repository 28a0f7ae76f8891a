"""Contents that no scan could read, since a step fetched them: entered into the registry by it."""

from collections.abc import Iterable
from dataclasses import dataclass

from badc_core.annexed_files import is_key_of, read_annex_key
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.locks import locked
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import Registry, look_at, read_registry
from badc_core.recordings.scan import FoundAudio


@dataclass(frozen=True)
class LateContent:
    """What a step found at a recording's path.

    Attributes:
        before: the recording's row until then.
        row: the same for the content that was found; `before` where that is known.
        key: of the content, where git-annex says so beside it.
    """

    before: RegisteredRecording
    row: RegisteredRecording
    key: str

    @property
    def is_new(self) -> bool:
        """Whether the registry does not know the content."""
        return self.row != self.before

    def is_still_at(self, dataset: Dataset) -> bool:
        """Whether it is what is at the path now, as far as files say whose content is elsewhere."""
        path, size_bytes = dataset.audio(self.row.path), self.row.size_bytes or 0
        try:
            key = read_annex_key(path)
            if key or self.key:
                # An unlocked file says its key only once its content was dropped.
                return key == self.key if self.key else is_key_of(key, size_bytes)
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (size_bytes, self.row.modified_ns)


def look_again(dataset: Dataset, row: RegisteredRecording) -> LateContent:
    """Returns what is at a recording's path now.

    Raises:
        FileNotFoundError: nothing is.
    """
    path = dataset.audio(row.path)
    key, status = read_annex_key(path), path.stat()
    seen = look_at(dataset, row, FoundAudio(row.path, status.st_size, status.st_mtime_ns))
    return LateContent(row, row if seen.fingerprint == row.fingerprint else seen, key)


def enter_contents(dataset: Dataset, found: Iterable[LateContent]) -> None:
    """Enters contents into the registry, of files and rows that have not changed meanwhile.

    Raises:
        DatasetInvalid: the registry is malformed.
        StorageFull: the registry cannot be written.
    """
    with locked(prepare_work_file(dataset.work_folder, dataset.lock)):
        registry = read_registry(dataset.registry)
        rows = dict(registry.by_id)
        for one in found:
            recording_id = one.row.recording_id
            if rows.get(recording_id) == one.before and one.is_still_at(dataset):
                rows[recording_id] = one.row
        if rows != registry.by_id:
            Registry(rows.values()).write(dataset.registry)
