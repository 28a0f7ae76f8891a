"""Where what a file says came from: the sound, the stages, the model, the settings, the commits.

Read from files alone, so that it works in a clone. Which file it is, is in `named_file.py`; what
detected, in `detectors_used.py`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from badc_core.annexed_files import lacks_content, require_fetched
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.hashing import sha256_file
from badc_core.lineage.detectors_used import (
    DetectorUsed,
    UsedIn,
    read_chunk_detectors,
    read_corpus_detectors,
    read_gathered_detectors,
    read_page_detectors,
    read_recording_detectors,
)
from badc_core.lineage.named_file import (
    AUDIO,
    CHUNK_FILE,
    OTHER,
    REGISTRY,
    ResultFile,
    name_result_file,
)
from badc_core.provenance.history import Commit, find_commit
from badc_core.recordings.recording import Recording, read_recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import read_registry
from badc_core.stages.corpus_outputs import CORPUS_ASSETS, corpus_file
from badc_core.stages.fingerprint_files import FileSum, StoredOutput, read_stored
from badc_core.stages.stage import STAGES

AS_WRITTEN, CHANGED, ELSEWHERE, UNKNOWN = (
    *("as written", "changed since"),
    *("content not here", "not written down"),
)


@dataclass(frozen=True)
class StepDone:
    """A stage on the way to a file.

    Attributes:
        name: of the stage or corpus asset.
        file: its first output, relative to the dataset.
        state: of that file: whether it is as it was written.
        fingerprint: what it was made from; empty where nobody wrote it down, likewise
        code_version: of the stage.
        commit: that last changed it; None where it is not committed as it is.
    """

    name: str
    file: str
    state: str
    fingerprint: str
    code_version: str
    commit: Commit | None


@dataclass(frozen=True)
class Lineage:
    """Where a file came from.

    Attributes:
        file: relative to the dataset.
        what: it is, in words.
        sha256: of it; empty where its content is not here.
        commit: that last changed it; None where it is not committed as it is.
        registered: the recording's row in the registry; None for a file about all recordings.
        recording: its description; None where there is none, or for a file about all recordings.
        steps: stages that it is made by, in order.
        detectors: what found the detections in it; several in a corpus of several settings.
        n_recordings: in a file about all recordings.
        unknown: what could not be found out, and why.
    """

    file: str
    what: str
    sha256: str
    commit: Commit | None
    registered: RegisteredRecording | None
    recording: Recording | None
    steps: tuple[StepDone, ...]
    detectors: tuple[DetectorUsed, ...]
    n_recordings: int | None
    unknown: tuple[str, ...]


def trace(path: Path) -> Lineage:
    """Returns where a file of a dataset came from.

    Raises:
        DatasetInvalid: it is in no dataset, or not a file that BADC writes or reads there.
    """
    return _Tracing(name_result_file(path)).trace()


class _Tracing:
    def __init__(self, named: ResultFile) -> None:
        self._named = named
        self._dataset: Dataset = named.dataset
        self._unknown: list[str] = []

    def trace(self) -> Lineage:
        named = self._named
        is_here = not lacks_content(named.path) and named.path.is_file()
        used = self._used()
        self._unknown += used.unknown
        return Lineage(
            file=named.below_root,
            what=named.what,
            sha256=sha256_file(named.path) if is_here else "",
            commit=find_commit(named.path),
            registered=self._registered(),
            recording=self._recording(),
            steps=tuple(self._steps()),
            detectors=used.detectors,
            n_recordings=used.n_recordings,
            unknown=tuple(self._unknown),
        )

    def _registered(self) -> RegisteredRecording | None:
        if not self._named.recording_id:
            return None
        return read_registry(self._dataset.registry).require(self._named.recording_id)

    def _recording(self) -> Recording | None:
        if not self._named.recording_id:
            return None
        path = self._dataset.recording(self._named.recording_id)
        try:
            require_fetched(path)
            return read_recording(path)
        except BadcError as error:
            self._unknown.append(str(error))
            return None

    def _steps(self) -> Iterator[StepDone]:
        recording_id = self._named.recording_id
        if recording_id:
            stored = self._stored(self._dataset.fingerprints(recording_id), recording_id)
            for name in _stages_before(self._named.made_by):
                stage = STAGES[name]
                is_asked = self._named.path in stage.files(self._dataset, recording_id)
                main = stage.outputs(self._dataset, recording_id)[0]
                path = self._named.path if is_asked else main
                if os.path.lexists(path):
                    yield self._step(name, path, stored.get(name))
        elif self._named.made_by not in {REGISTRY, OTHER}:
            stored = self._stored(self._dataset.corpus.fingerprints, "")
            last = CORPUS_ASSETS.index(self._named.made_by)
            for name in CORPUS_ASSETS[: last + 1]:
                is_asked = name == self._named.made_by
                path = self._named.path if is_asked else corpus_file(self._dataset, name)
                yield self._step(name, path, stored.get(name))

    def _stored(self, path: Path, about: str) -> Mapping[str, StoredOutput]:
        try:
            return read_stored(path, about)
        except DatasetInvalid as error:
            self._unknown.append(str(error))
            return {}

    def _step(self, name: str, path: Path, output: StoredOutput | None) -> StepDone:
        below = self._dataset.below(path)
        written = output.files.get(below) if output is not None else None
        return StepDone(
            name,
            below,
            _compare(path, written),
            output.fingerprint if output is not None else "",
            output.code_version if output is not None else "",
            find_commit(path),
        )

    def _used(self) -> UsedIn:
        """Returns what detected in the recordings that a file is about."""
        named = self._named
        if named.made_by in {"recording", "chunk_manifest", REGISTRY}:
            return UsedIn()
        try:
            if named.made_by == OTHER:
                is_table = named.path.suffix == ".parquet"
                return read_gathered_detectors(named.path) if is_table else UsedIn()
            if not named.recording_id:
                return read_corpus_detectors(self._dataset)
            if named.made_by == CHUNK_FILE:
                return read_chunk_detectors(named.path)
            is_report = named.made_by == "report_bundle"
            read = read_page_detectors if is_report else read_recording_detectors
            return read(self._dataset, named.recording_id)
        except BadcError as error:
            return UsedIn(unknown=(str(error),))


def _stages_before(made_by: str) -> list[str]:
    """Returns a stage and those it is made from; of a recording's own file those made from it."""
    if made_by == AUDIO:
        return list(STAGES)
    if made_by == CHUNK_FILE:
        return ["recording", "chunk_manifest"]
    wanted = {made_by}
    for stage in reversed(tuple(STAGES.values())):
        if stage.name in wanted:
            wanted.update(stage.inputs)
    return [one for one in STAGES if one in wanted]


def _compare(path: Path, written: FileSum | None) -> str:
    if lacks_content(path):
        return ELSEWHERE
    if written is None:
        return UNKNOWN
    with suppress(OSError):
        if path.stat().st_size == written.size_bytes and sha256_file(path) == written.sha256:
            return AS_WRITTEN
    return CHANGED
