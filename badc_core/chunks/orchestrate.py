"""Chunk files for a whole dataset: which recordings lack them, and writing them side by side.

Each recording is cut by `writer.py`, as it is when its file is given by name.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated

from badc_core.chunks.manifest import has_ranges
from badc_core.chunks.place import ChunkPlace, CutRequest, place_chunks
from badc_core.chunks.source import NamedFile, check_cut_settings
from badc_core.chunks.writer import WrittenChunks, has_chunks, write_chunks_at
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid
from badc_core.options import OptionSpec
from badc_core.outcomes import Outcome, attempt, for_each
from badc_core.plan_files import Entry
from badc_core.provenance.datalad import below, render_datalad_run
from badc_core.provenance.dropping import FetchedSounds
from badc_core.provenance.fetching import Fetcher, Needed
from badc_core.provenance.records import RunRecord
from badc_core.recordings.identity import assign_ids
from badc_core.recordings.registry import read_registry, register_recordings
from badc_core.recordings.scan import find_audio
from badc_core.units import write_seconds

PLAN_COLUMNS = (
    *("recording_id", "audio_path", "manifest_path", "chunk_output_dir"),
    *("chunk_duration", "overlap"),
)


@dataclass(frozen=True)
class DatasetCut:
    """Which of a dataset's recordings are to be cut, and how; relative folders begin there."""

    dataset: Annotated[Path, OptionSpec("The folder that holds audio/.", metavar="DATASET")]
    pattern: Annotated[
        str, OptionSpec("Names of recordings, in any case; with a slash, paths in the dataset.")
    ] = "*.wav"
    duration_s: Annotated[
        float, OptionSpec("Length of a chunk, seconds.", option="--chunk-duration")
    ] = 60.0
    overlap_s: Annotated[
        float,
        OptionSpec("How much a chunk repeats of the one before, seconds.", option="--overlap"),
    ] = 0.0
    manifest_dir: Annotated[Path, OptionSpec("Holds a manifest for each recording.")] = Path(
        "manifests"
    )
    chunks_dir: Annotated[Path, OptionSpec("Holds a folder for each recording.")] = Path(
        "artifacts/chunks"
    )
    include_existing: Annotated[bool, OptionSpec("Also recordings whose chunks are there.")] = False
    limit: Annotated[int, OptionSpec("At most this many recordings; 0: all.", least=0)] = 0


@dataclass(frozen=True)
class ChunkPlan:
    """The recordings that are to be cut.

    Attributes:
        dataset: of the recordings.
        cut: what was asked for.
        places: of the recordings, by path.
        n_finished: recordings left out because their chunks are there.
        n_unmatched: audio files that the pattern leaves out.
    """

    dataset: Dataset
    cut: DatasetCut
    places: tuple[ChunkPlace, ...]
    n_finished: int
    n_unmatched: int

    def count_replaced(self) -> int:
        """Returns how many manifests of ranges, such as `badc run` makes, would be replaced."""
        return sum(has_ranges(place.manifest) for place in self.places)

    def entries(self) -> list[Entry]:
        """Returns the plan as it is saved; see `PLAN_COLUMNS`."""
        return [self._entry(place) for place in self.places]

    def commands(self) -> Iterator[str]:
        """Yields a `datalad run` command for every recording."""
        for place in self.places:
            yield self._command(place)

    def _entry(self, place: ChunkPlace) -> Entry:
        root = self.dataset.root
        return {
            "recording_id": place.name.recording_id,
            "audio_path": below(root, place.name.file),
            "manifest_path": below(root, place.manifest),
            "chunk_output_dir": below(root, place.folder),
            "chunk_duration": place.settings.duration_s,
            "overlap": place.settings.overlap_s,
        }

    def record(self, recording_ids: Sequence[str]) -> RunRecord:
        """Returns the record of the chunks of some recordings, which are in the plan."""
        root, first = self.dataset.root, recording_ids[0]
        places = {one.name.recording_id: one for one in self.places}
        chosen = [places[one] for one in recording_ids]
        n_more = len(chosen) - 1
        return RunRecord(
            message=f"Cut {first}{f' and {n_more} more recordings' * bool(n_more)} into chunks",
            commands=tuple(self._words(one) for one in chosen),
            inputs=tuple(below(root, one.name.file) for one in chosen),
            outputs=tuple(below(root, path) for one in chosen for path in one.outputs),
        )

    def _command(self, place: ChunkPlace) -> str:
        anew = ["--include-existing"] if self.cut.include_existing else []
        return render_datalad_run(
            self.dataset.root,
            f"Cut {place.name.recording_id} into chunks",
            [place.name.file],
            place.outputs,
            self._words(place, *anew),
        )

    def _words(self, place: ChunkPlace, *options: str) -> list[str]:
        """Returns the command that writes the chunks of a recording."""
        entry = self._entry(place)
        words = ["badc", "chunk", "run"]
        words += ["--chunk-duration", write_seconds(entry["chunk_duration"])]
        words += ["--overlap", write_seconds(entry["overlap"])]
        words += ["--output-dir", entry["chunk_output_dir"], "--manifest", entry["manifest_path"]]
        return [*words, *options, "--", entry["audio_path"]]


def plan_dataset(cut: DatasetCut, register: bool = False) -> ChunkPlan:
    """Returns which recordings are to be cut; of those without chunks no sound is looked at.

    Args:
        cut: what is asked for.
        register: enter the recordings into the registry first, so that the names which their
            chunks get stay theirs; else nothing is written.

    Raises:
        DatasetInvalid: no dataset, or its registry is malformed.
        ConfigInvalid: settings that cannot be used, or there is no audio that fits the pattern.
        StorageFull: the registry cannot be written.
    """
    dataset = Dataset.open(cut.dataset)
    check_cut_settings(
        dataset, cut.duration_s, cut.overlap_s
    )  # which raises before anything is written
    if register:
        register_recordings(dataset)
    names = name_recordings(dataset)
    fitting = [one for one in names if _fits(cut.pattern, below(dataset.root, one.file))]
    if not fitting:
        raise ConfigInvalid(
            f"none of {len(names)} audio files fits the pattern {cut.pattern!r}",
            dataset.root,
            "Give another --pattern, such as '*'",
        )
    places: list[ChunkPlace] = []
    n_finished = 0
    for name in fitting:
        place = _place(cut, name, dataset.root)
        if cut.limit and len(places) == cut.limit:
            break
        if cut.include_existing or not _is_finished(place):
            places.append(place)
        else:
            n_finished += 1
    return ChunkPlan(dataset, cut, tuple(places), n_finished, len(names) - len(fitting))


def cut_dataset(
    plan: ChunkPlan, n_workers: int = 1
) -> Generator[Outcome[WrittenChunks], None, None]:
    """Writes the chunks of every recording of a plan; yields what became of each, in order."""
    places = {place.name.recording_id: place for place in plan.places}
    is_anew = plan.cut.include_existing
    dataset = plan.dataset
    drops = dataset.settings.datalad.drop_after
    sounds = FetchedSounds(dataset.root, dataset.work_folder, drops)
    needs = [
        Needed(one, sound=partial(_sound_of, place), requires_sound=False)
        for one, place in places.items()
    ]

    def cut_one(recording_id: str) -> WrittenChunks:
        with contents.using(recording_id):
            return write_chunks_at(places[recording_id], is_anew)

    with Fetcher(needs, sounds) as contents:
        yield from for_each(places, cut_one, n_workers, contents.stop_waiting)


def _sound_of(place: ChunkPlace) -> Path:
    return place.name.file


def name_recordings(dataset: Dataset) -> list[NamedFile]:
    """Returns a dataset's audio files, by path, named as registered or as a scan would name them.

    Raises:
        DatasetInvalid: the registry is malformed.
    """
    paths = [one.path for one in find_audio(dataset)]
    ids = {one.path: one.recording_id for one in read_registry(dataset.registry)}
    taken = {recording_id: path for path, recording_id in ids.items()}
    ids |= assign_ids(paths, taken, dataset.settings.recordings.roots)
    return [NamedFile(dataset.audio(path), ids[path], dataset) for path in paths]


def _fits(pattern: str, path: str) -> bool:
    name = path if "/" in pattern else path.rpartition("/")[2]
    return fnmatchcase(name.lower(), pattern.lower())


def _place(cut: DatasetCut, name: NamedFile, root: Path) -> ChunkPlace:
    manifest = root / cut.manifest_dir / f"{name.recording_id}.csv"
    request = CutRequest(cut.duration_s, cut.overlap_s, root / cut.chunks_dir, manifest)
    return place_chunks(name, request)


def _is_finished(place: ChunkPlace) -> bool:
    """Returns whether there is nothing to do; errors are raised when the recording is cut."""
    return bool(attempt(place.name.recording_id, lambda _: has_chunks(place)).value)
