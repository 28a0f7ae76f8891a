"""Which files a run over manifests reads, and must be here.

They are fetched in `provenance/fetching.py`. For stages of a dataset this is said in
`stages/contents.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from badc_core.chunks.requests import ChunkRequest
from badc_core.chunks.status import STATUS_FILE
from badc_core.inference.run_spec import RunSpec
from badc_core.provenance.dropping import FetchedSounds
from badc_core.provenance.fetching import Fetcher, Needed, require_fetched_all


def require_descriptions(spec: RunSpec, requests: Mapping[str, Sequence[ChunkRequest]]) -> None:
    """Returns once the descriptions of recordings and the statuses of chunk files are here.

    Raises:
        ContentMissing: one could not be fetched.
    """
    rows = (row for some in requests.values() for row in some)
    folders = {row.audio.parent for row in rows if row.is_file is not False}
    folders |= {folder for one in requests if (folder := spec.chunk_files_of(one)) is not None}
    paths = [folder / STATUS_FILE for folder in sorted(folders)]
    if spec.dataset is not None:
        paths += [spec.dataset.recording(one) for one in requests]
    require_fetched_all(paths)


def needed_by_rows(spec: RunSpec, recording_id: str, rows: Sequence[ChunkRequest]) -> Needed:
    """Returns what the analysis of one recording needs."""
    audio = sorted({row.audio for row in rows})
    before = results_of(spec, recording_id, rows)
    if spec.dataset is not None:
        before.append(spec.dataset.raw_detections(recording_id))
    if len(audio) == 1:
        return Needed(recording_id, (), lambda: audio[0], before)
    return Needed(recording_id, audio, useful=before)


def results_of(spec: RunSpec, recording_id: str, rows: Sequence[ChunkRequest]) -> list[Path]:
    """Returns the files of chunks that earlier runs may have left."""
    return [spec.output.chunk_json(recording_id, row.chunk_id) for row in rows]


def fetching_for(spec: RunSpec, needs: Sequence[Needed]) -> Fetcher:
    """Returns what fetches for runs with the dataset and settings of one of them."""
    dataset = spec.dataset
    if dataset is None:
        return Fetcher(needs, None)
    drops = spec.settings.datalad.drop_after
    return Fetcher(needs, FetchedSounds(dataset.root, dataset.work_folder, drops))
