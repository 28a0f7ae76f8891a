"""The bodies of all stages: each takes a step's inputs and files, and yields outcomes.

The assets call them with inputs from the asset graph. `run_step` calls them with what files say,
where there is no asset graph: in `badc redo`, and so in `datalad rerun`.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

from badc_core.chunks.manifest import Manifest, write_manifest
from badc_core.corpus.building import aggregate_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import choose_chunks
from badc_core.devices.places import usable_cores
from badc_core.inference.detect import detect_recordings
from badc_core.inference.raw_result import RawResult
from badc_core.inference.select import select_detections
from badc_core.outcomes import Outcome
from badc_core.recordings.registry import read_rows
from badc_core.reports.bundle import BundleOutcome, write_bundle
from badc_core.site.writing import write_site
from badc_core.stages.corpus_outputs import store_corpus_if_remade
from badc_core.stages.describing import describe_recordings
from badc_core.stages.fingerprint_files import store_if_remade
from badc_core.stages.step_inputs import RecordingInput, StepInputs, each_recording
from badc_core.stages.step_records import CORPUS_DETECTIONS
from badc_core.stages.work import Work
from badc_core.telemetry.log import TelemetryLog

Body = Callable[[StepInputs], Generator[Outcome[Any], None, None]]


def write_manifests(inputs: StepInputs) -> Generator[Outcome[Manifest], None, None]:
    """Writes manifests; the body of the stage `chunk_manifest`."""
    dataset, cut = inputs.dataset, choose_chunks(inputs.settings)
    return each_recording(inputs, lambda one: write_manifest(dataset, one.recording_id, cut))


def write_bundles(inputs: StepInputs) -> Generator[Outcome[BundleOutcome], None, None]:
    """Writes reports; the body of the stage `report_bundle`."""
    dataset = inputs.dataset
    return each_recording(
        inputs, lambda one: write_bundle(dataset, one.recording_id), usable_cores()
    )


def _detect_anew(inputs: StepInputs) -> Generator[Outcome[RawResult], None, None]:
    """Runs the detector over every chunk, also of those whose result is there."""
    log = inputs.work_folder / "telemetry" / f"{inputs.run_id}.jsonl"
    with TelemetryLog(log) as telemetry:
        yield from detect_recordings(inputs, telemetry, resumes=False)


BODIES: Mapping[str, Body] = {
    "recording": describe_recordings,
    "chunk_manifest": write_manifests,
    "raw_detections": _detect_anew,
    "detections": select_detections,
    "report_bundle": write_bundles,
}


def inputs_from_files(
    dataset: Dataset, stage: str, recording_ids: Sequence[str], run_id: str
) -> StepInputs:
    """Returns the inputs of a step as the registry has them, without the asset graph.

    Args:
        dataset: of the recordings.
        stage: its name in `STAGES`.
        recording_ids: in the order they should be worked on.
        run_id: for names of logs.

    Raises:
        DatasetInvalid: the registry is malformed.
    """
    rows = read_rows(dataset.registry, recording_ids)
    return StepInputs(
        stage=stage,
        root=dataset.root,
        settings=dataset.settings,
        work_folder=dataset.work_folder,
        run_id=run_id,
        recordings=tuple(RecordingInput(one, registered=rows.get(one)) for one in recording_ids),
    )


def run_step(inputs: StepInputs) -> Iterable[Outcome[Any]]:
    """Yields what became of each recording of a step, its files written anew and committed to.

    Where they are other than the dataset says, it says so after.
    """
    for outcome in BODIES[inputs.stage](inputs):
        if outcome.error is None:
            store_if_remade(inputs.dataset, inputs.stage, outcome.recording_id)
            outcome.commit()
        yield outcome


def build_corpus_step(dataset: Dataset, step: str) -> None:
    """Makes the corpus database or its pages from files; if it is another, its file says so.

    Raises:
        BadcError: as `aggregate_corpus` and `write_site` do.
    """
    with Work(dataset.work_folder).writing_corpus():
        if step == CORPUS_DETECTIONS:
            aggregate_corpus(dataset)
        else:
            write_site(dataset)
        store_corpus_if_remade(dataset, step)
