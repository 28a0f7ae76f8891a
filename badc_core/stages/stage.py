"""The one table of stages: what each is made from, what it writes, and what decides its result.

Fingerprints, what is due, jobs, partitions, batches and status all read this table. A new stage is
one entry here and one file in `badc_dagster/assets/`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from badc_core.annexed_files import lacks_content
from badc_core.audio.channel import MEAN, name_channel
from badc_core.datasets.dataset import Dataset
from badc_core.detections.calibrate import describe_calibration
from badc_core.detectors.registry import choose_chunks, identify_detector
from badc_core.errors import ContentMissing, DatasetInvalid
from badc_core.hashing import sha256_unchanged
from badc_core.ranges.marking import describe_marks
from badc_core.recordings.loudest import channel_of
from badc_core.recordings.recording import read_recording
from badc_core.species_names import find_names
from badc_core.speech.stored import search_inputs
from badc_core.stages.listings import list_each, list_like


@dataclass(frozen=True)
class Stage:
    """Work that is done once for every recording.

    Attributes:
        name: of the stage, its asset and the asset's file.
        inputs: the stages it is made from; none: it is made from the recording's file itself.
        outputs: dataset, recording_id -> the files that must be there.
        settings: what decides the result beside the inputs and the code; JSON values.
        code_version: raised by hand when the code gives another result for the same input.
        batch_size: how many recordings one run takes. Different for every stage: with equal sizes
            a backfill chains the batch in one run, and one bad recording takes the later stages
            of all others down.
        job: the smaller job it belongs to, beside the one of all stages. A range of recordings
            goes through one stage a run.
        runs_detector: whether it runs a model: it leases devices and takes most of the time.
        choices: dataset, recording_id -> what the settings come to for this recording, where that
            decides the result and differs between recordings; nothing where it is the default.
            None where it never differs.
        reads: the stages whose outputs its body reads, which may be more or fewer than `inputs`.
        sound: whether it reads the recording's file: needed; or shown, of what was detected, as
            far as the file is to be had.
        has_floor: whether it keeps weak scores down to `detector.score_floor`, so that its
            result serves any settings that keep only stronger ones.
        more_outputs: dataset, recording_id -> files and folders that it writes beside `outputs`,
            some of them only under some settings; it removes what other settings left there.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: Callable[[Dataset, str], tuple[Path, ...]]
    settings: Callable[[Dataset], Mapping[str, Any]]
    code_version: str
    batch_size: int
    job: str
    runs_detector: bool = False
    reads: tuple[str, ...] = ()
    sound: Literal["unused", "needed", "shown"] = "unused"
    has_floor: bool = False
    choices: Callable[[Dataset, str], tuple[str, ...]] | None = None
    more_outputs: Callable[[Dataset, str], tuple[Path, ...]] = lambda _dataset, _one: ()

    @property
    def reads_audio(self) -> bool:
        """Whether it reads the recording's sound."""
        return self.sound != "unused"

    def writes(self, dataset: Dataset, recording_id: str) -> tuple[Path, ...]:
        """Returns all files and folders that it writes for a recording."""
        return (
            *self.outputs(dataset, recording_id),
            *self.more_outputs(dataset, recording_id),
        )

    def list_made(self, dataset: Dataset) -> frozenset[str]:
        """Returns the recordings with all its outputs, or links to them, by listing folders."""
        return list_like(self.outputs(dataset, "x"))

    def files(self, dataset: Dataset, recording_id: str) -> tuple[Path, ...]:
        """Returns the files that are there of those that only it writes; none of chunks' files.

        The content of annexed ones may be elsewhere.
        """
        chunks = dataset.inference.recording(recording_id)
        written = (one for one in self.writes(dataset, recording_id) if one != chunks)
        inside = (sorted(one.iterdir()) if one.is_dir() else [one] for one in written)
        return tuple(
            one for files in inside for one in files if one.is_file() or lacks_content(one)
        )


def _recording_settings(dataset: Dataset) -> dict[str, Any]:
    wanted = {"roots", "templates", "timezone", "fingerprint"}
    return {"settings": dataset.settings.recordings.model_dump(include=wanted)}


def _detector_settings(dataset: Dataset) -> dict[str, Any]:
    detector = dataset.settings.detector
    return {
        "settings": detector.model_inputs(),
        "detector": identify_detector(detector).model_inputs(),
    }


def _selection_settings(dataset: Dataset) -> dict[str, Any]:
    detector = dataset.settings.detector
    marks = (*describe_marks(detector), *describe_calibration(detector))
    return {"settings": detector.selection_inputs(), **({"marks": marks} if marks else {})}


def _report_settings(dataset: Dataset) -> dict[str, Any]:
    """Returns what decides a report; where no speech is searched for, nothing about it."""
    report, speech = dataset.settings.report, dataset.settings.speech
    inputs: dict[str, Any] = {"settings": report.model_dump()}
    if report.language:
        inputs["names"] = sha256_unchanged(find_names(report.language))
    if speech.is_searched_for:
        inputs["speech"] = speech.model_dump() | search_inputs()
    return inputs


def _chosen_channel(dataset: Dataset, recording_id: str) -> tuple[str, ...]:
    """Returns the channel to analyse of a recording that has several, unless it is their mean."""
    wanted = dataset.settings.recordings.channel
    if wanted == MEAN:
        return ()
    try:
        channel = channel_of(read_recording(dataset.recording(recording_id)), wanted)
    except (DatasetInvalid, ContentMissing):
        return ()  # the stage fails on the same description, and says so
    return () if channel == MEAN else (f"channel {name_channel(channel)}",)


def _chunk_files(dataset: Dataset, recording_id: str) -> tuple[Path, ...]:
    """Returns the folder of files about chunks, if there are to be any."""
    wanted = dataset.settings.inference.chunk_json
    return (dataset.inference.recording(recording_id),) if wanted else ()


def _bundle_parts(dataset: Dataset, recording_id: str) -> tuple[Path, ...]:
    """Returns the parts of a report bundle beside the page, and what was searched for it."""
    bundle = dataset.bundle(recording_id)
    speech = (dataset.speech(recording_id),) if dataset.settings.speech.is_searched_for else ()
    return *bundle.tables, *speech


_IN_ORDER = (
    Stage(
        name="recording",
        inputs=(),
        outputs=lambda dataset, one: (dataset.recording(one),),
        settings=_recording_settings,
        code_version="4",
        batch_size=200,
        job="chunk_job",
        sound="needed",
    ),
    Stage(
        name="chunk_manifest",
        inputs=("recording",),
        outputs=lambda dataset, one: (dataset.manifest(one),),
        settings=lambda dataset: {"settings": choose_chunks(dataset.settings).model_dump()},
        code_version="1",
        batch_size=201,
        job="chunk_job",
        reads=("recording",),
    ),
    Stage(
        name="raw_detections",
        inputs=("chunk_manifest",),
        outputs=lambda dataset, one: (dataset.raw_detections(one),),
        settings=_detector_settings,
        code_version="3",
        batch_size=202,
        job="infer_job",
        runs_detector=True,
        reads=("recording", "chunk_manifest"),
        sound="needed",
        has_floor=True,
        choices=_chosen_channel,
        more_outputs=_chunk_files,
    ),
    Stage(
        name="detections",
        inputs=("raw_detections",),
        outputs=lambda dataset, one: (dataset.detections(one), dataset.effort(one)),
        settings=_selection_settings,
        code_version="5",
        batch_size=203,
        job="select_job",
        more_outputs=_chunk_files,
        reads=("recording", "raw_detections"),
    ),
    Stage(
        name="report_bundle",
        inputs=("detections",),
        outputs=lambda dataset, one: (dataset.bundle(one).html,),
        settings=_report_settings,
        code_version="9",
        batch_size=204,
        job="report_job",
        more_outputs=_bundle_parts,
        reads=("recording", "detections"),
        sound="shown",
    ),
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _IN_ORDER}
"""By name, each after the stages it is made from."""


def list_all_made(
    dataset: Dataset,
    stages: Iterable[str] = tuple(STAGES),
    see: Callable[[Path, Sequence[str]], None] = lambda _folder, _names: None,
) -> dict[str, frozenset[str]]:
    """Returns the recordings with all outputs of a stage, for each stage.

    Args:
        dataset: whose outputs.
        stages: which; all by default.
        see: called with a folder and its names where it is really listed.
    """
    names = list(stages)
    groups = [STAGES[one].outputs(dataset, "x") for one in names]
    return dict(zip(names, list_each(groups, see), strict=True))


def stages_after(name: str) -> tuple[str, ...]:
    """Returns a stage and all that are made from it, directly or not, in order."""
    found = {name}
    for stage in STAGES.values():
        if found.intersection(stage.inputs):
            found.add(stage.name)
    return tuple(one for one in STAGES if one in found)
