"""Detecting over a whole dataset's chunk manifests: which have chunks left, and running those.

Each manifest is run as `badc infer run` runs it, all with one engine (`manifest_runs.py`). Which
manifests there are is found in `manifest_list.py`.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.chunks.status import STATUS_FILE, name_status
from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.detectors.registry import identify_detector
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.file_names import absolute, explain_no_folder
from badc_core.inference.manifest_contents import fetching_for
from badc_core.inference.manifest_list import ListedManifest, count_unlisted, list_manifests
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.manifest_runs import run_manifests, shared_recording
from badc_core.inference.run_spec import RunResult, RunSpec
from badc_core.outcomes import Outcome, attempt
from badc_core.plan_files import Entry
from badc_core.provenance.annex import fetch
from badc_core.provenance.datalad import below
from badc_core.provenance.fetching import Needed, require_fetched_all
from badc_core.settings import Settings
from badc_core.telemetry.summary import summary_path, workers_path

PLAN_COLUMNS = (
    *("recording_id", "manifest_path", "output_dir", "recording_output_dir", "telemetry_log"),
    *("use_hawkears", "hawkears_args", "max_gpus", "cpu_workers"),
    *("chunk_status", "chunk_status_path"),
    *("detector", "n_chunks", "n_left", "error"),
)
"""The last four are not in the original BADC's plans."""


@dataclass(frozen=True)
class DatasetRun:
    """What is to be run over a dataset; relative folders begin at the dataset.

    Attributes:
        dataset: its folder, which holds `audio/`.
        settings: the detector, and how the work is spread.
        manifest_dir: holds chunk manifests, `*.csv`.
        chunk_plan: a plan whose manifests are taken instead of those in `manifest_dir`.
        chunks_dir: holds a folder of chunk files for each recording.
        output_dir: holds a folder of results for each recording.
        telemetry_dir: holds `infer/<recording_id>.jsonl`.
        include_existing: also take recordings of which no chunk is left.
        limit: at most this many recordings that can be run; 0: all.
        resume: whether results in journals count.
        allow_partial_chunks: whether chunk files that are not complete are run too.
    """

    dataset: Path
    settings: Settings
    manifest_dir: Path = Path("manifests")
    chunk_plan: Path | None = None
    chunks_dir: Path = Path("artifacts/chunks")
    output_dir: Path = Path("artifacts/infer")
    telemetry_dir: Path = Path("artifacts/telemetry")
    include_existing: bool = False
    limit: int = 0
    resume: bool = True
    allow_partial_chunks: bool = False


@dataclass(frozen=True)
class InferEntry:
    """A recording of a plan.

    Attributes:
        recording_id: as its manifest says; its file's name where that cannot be read.
        order: what is to be run.
        chunk_folder: where its chunk files would be.
        n_chunks: in its manifest.
        n_left: chunks that have no result yet.
        audio_s: seconds of sound in all its chunks.
        sources: the files with its sound, absolute.
        needs: the files that running it reads.
        error: why it cannot be run; None if it can.
    """

    recording_id: str
    order: RunSpec
    chunk_folder: Path
    n_chunks: int = 0
    n_left: int = 0
    audio_s: float = 0.0
    sources: tuple[Path, ...] = ()
    needs: tuple[Needed, ...] = ()
    error: BadcError | None = None

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.order.manifests[0]

    @property
    def chunk_status(self) -> str | None:
        """How far the writing of its chunk files has come; None where there are none."""
        return name_status(self.chunk_folder)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """What running it writes."""
        log = self.order.telemetry_log
        folder = self.order.output.recording(self.recording_id)
        return (folder, log, summary_path(log), workers_path(log))


@dataclass(frozen=True)
class InferPlan:
    """The recordings that are to be run, all with the same settings.

    Attributes:
        root: the dataset's folder.
        entries: in the order of their manifests.
        finished: recordings that were left out since no chunk of them is left.
        n_unplanned: manifests of the dataset that the plan it was made from does not name.
    """

    root: Path
    settings: Settings
    entries: tuple[InferEntry, ...]
    finished: tuple[InferEntry, ...]
    n_unplanned: int = 0

    @property
    def audio_s(self) -> float:
        """Seconds of sound in all chunks."""
        return sum(one.audio_s for one in self.entries)

    def rows(self) -> Iterator[Entry]:
        """Yields the entries as they are saved; see `PLAN_COLUMNS`."""
        detector, rules = self.settings.detector, self.settings.inference
        for one in self.entries:
            yield {
                "recording_id": one.recording_id,
                "manifest_path": below(self.root, one.manifest),
                "output_dir": below(self.root, one.order.output.folder),
                "recording_output_dir": below(self.root, one.outputs[0]),
                "telemetry_log": below(self.root, one.order.telemetry_log),
                "use_hawkears": detector.name.startswith("hawkears"),
                "hawkears_args": list(detector.hawkears.arguments),
                "max_gpus": rules.max_gpus or None,
                "cpu_workers": rules.cpu_workers,
                "chunk_status": one.chunk_status,
                "chunk_status_path": below(self.root, one.chunk_folder / STATUS_FILE),
                "detector": detector.name,
                "n_chunks": one.n_chunks,
                "n_left": one.n_left,
                "error": None if one.error is None else str(one.error),
            }


def plan_inference(request: DatasetRun) -> InferPlan:
    """Returns what is to be run; nothing is written.

    A manifest that cannot be run is an entry with its error.

    Raises:
        DatasetInvalid: no such folder.
        ConfigInvalid: the plan cannot be read; there are no manifests.
        DetectorMissing: the detector is not installed.
    """
    planning = _Planning(request)
    entries: list[InferEntry] = []
    for listed in planning.listed:
        if request.limit and sum(one.error is None for one in entries) == request.limit:
            break
        entry = planning.entry(listed)
        if entry is not None:
            entries.append(entry)
    return InferPlan(
        planning.root,
        planning.settings,
        tuple(entries),
        tuple(planning.finished),
        planning.count_unplanned(),
    )


def run_plan(plan: InferPlan) -> Generator[Outcome[RunResult], None, None]:
    """Runs every recording of a plan; yields what became of each, as it is finished.

    A recording that another run is at work on is named with that reason, and left to it.

    Raises:
        DetectorFailed, DetectorMissing: no worker can be had.
        StorageFull: the disk or a quota is full.
    """
    for entry in plan.entries:
        if entry.error is not None:
            yield Outcome(entry.recording_id, error=entry.error)
    entries = [one for one in plan.entries if one.error is None]
    if not entries:
        return
    needs = [need for one in entries for need in one.needs]
    with fetching_for(entries[0].order, needs) as contents:
        runs = [
            (one.recording_id, lambda _, spec=one.order: ManifestRun(spec, contents))
            for one in entries
        ]
        yield from run_manifests(runs, plan.settings, identify_detector(plan.settings.detector))


class _Planning:
    """A plan in the making."""

    def __init__(self, request: DatasetRun) -> None:
        if not request.dataset.is_dir():
            why = explain_no_folder(request.dataset)
            raise DatasetInvalid(why, request.dataset, "Give a dataset's folder")
        self._request = request
        self.root = absolute(request.dataset)
        self.settings = request.settings
        self._dataset = Dataset(self.root, self.settings)
        identify_detector(self.settings.detector)
        require_fetched_all(filter(None, [request.chunk_plan]))
        self.listed = list_manifests(self.root, request.manifest_dir, request.chunk_plan)
        fetch(one.path for one in self.listed)
        self._chunks_dir = absolute(self.root / request.chunks_dir)
        self.finished: list[InferEntry] = []
        self._seen: dict[str, Path] = {}

    def entry(self, listed: ListedManifest) -> InferEntry | None:
        """Returns a manifest's entry; None where no chunk is left and that is reason enough."""
        found = attempt(str(listed.path), lambda _: listed.recording_id(self.root))
        recording_id = found.value or listed.path.stem
        folder = listed.chunk_folder or self._chunks_dir / recording_id
        order = self._order(listed.path, recording_id, folder)
        plain = InferEntry(recording_id, order, folder, error=found.error)
        if found.error is not None:
            return plain
        if recording_id in self._seen:
            error = shared_recording(recording_id, str(listed.path), str(self._seen[recording_id]))
            return replace(plain, error=error)
        self._seen[recording_id] = listed.path
        counted = attempt(str(listed.path), lambda _: _count(plain))
        entry = replace(plain, error=counted.error) if counted.value is None else counted.value
        if entry.error is None and not entry.n_left and not self._request.include_existing:
            self.finished.append(entry)
            return None
        return entry

    def count_unplanned(self) -> int:
        """Returns how many of the dataset's manifests are not in the plan that was given."""
        if self._request.chunk_plan is None:
            return 0
        return count_unlisted(self.root, self._request.manifest_dir, self.listed)

    def _order(self, manifest: Path, recording_id: str, chunk_folder: Path) -> RunSpec:
        request = self._request
        log = absolute(self.root / request.telemetry_dir / "infer" / f"{recording_id}.jsonl")
        summary = summary_path(log)
        return RunSpec(
            manifests=(manifest,),
            settings=self.settings,
            output=InferencePaths(absolute(self.root / request.output_dir)),
            telemetry_log=log,
            dataset=self._dataset,
            resume=request.resume,
            resume_summary=summary if request.resume and summary.is_file() else None,
            chunk_folder=chunk_folder,
            allow_partial_chunks=request.allow_partial_chunks,
            owns_log=True,
        )


def _count(entry: InferEntry) -> InferEntry:
    """Returns an entry with what its manifest says and what earlier runs have left of it."""
    run = ManifestRun(entry.order)
    return replace(
        entry,
        n_chunks=run.n_chunks,
        n_left=run.count_left(),
        audio_s=run.audio_s,
        sources=run.sources,
        needs=tuple(run.needs()),
    )
