"""How fast BADC runs the same recordings, and what everything but the work itself costs.

Run by `run.py`, in a Dagster home and datasets of its own.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import soundfile
from corpus import write_noise

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.devices.places import usable_cores
from badc_core.inference.detect import detect_recordings
from badc_core.inference.select import select_detections
from badc_core.outcomes import Outcome, for_each
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import read_registry, register_recordings
from badc_core.reports.bundle import write_bundle
from badc_core.stages.stage import STAGES
from badc_core.stages.step_inputs import RecordingInput, StepInputs
from badc_core.telemetry.log import TelemetryLog

_AUDIO_ENDINGS = {".wav", ".flac", ".mp3", ".ogg", ".aif", ".aiff"}
_N_SMALL = 200


@dataclass(frozen=True)
class PipelineSpeed:
    """What the steps that make detections came to.

    Attributes:
        x_realtime: seconds of audio per second in which a step that runs the detector was at work,
            from the steps' starts to their ends, all batches added.
        selected_x_realtime: the same with the steps that select the detections.
        worker_peak_rss_mib: of the largest worker.
        audio_bytes_written: in audio files anywhere outside the recordings folder, plus changes
            inside it.
    """

    x_realtime: float
    selected_x_realtime: float
    worker_peak_rss_mib: float
    audio_bytes_written: int


def measure_pipeline(audio_files: Sequence[Path]) -> PipelineSpeed:
    """Runs recordings through the asset graph, and times the steps that make detections."""
    with _project(audio_files, "[detector]\nmin_score = 0.1\n") as root:
        before = _audio_bytes(root)
        _badc("run", root)
        with dg.DagsterInstance.get() as instance:
            detecting = _runs_of(instance, "raw_detections")
            selecting = _runs_of(instance, "detections")
            detecting_s = sum(_step_s(instance, run_id) for run_id in detecting)
            selecting_s = sum(_step_s(instance, run_id) for run_id in selecting)
            peaks = [
                entry.asset_materialization.metadata["worker_peak_rss_mib"].value
                for run_id in detecting
                for entry in instance.all_logs(run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
                if entry.asset_materialization
            ]
        audio_s = sum(soundfile.info(path).duration for path in audio_files)
        return PipelineSpeed(
            audio_s / detecting_s,
            audio_s / (detecting_s + selecting_s),
            max(peaks),
            _audio_bytes(root) - before,
        )


def measure_startup(audio_file: Path) -> float:
    """Returns seconds from typing `dagster job execute` to the start of its first step."""
    with _project([audio_file], '[detector]\nname = "band_energy"\n') as root:
        _badc("scan", root)
        key = read_registry(root / "recordings.csv").ids[0]
        command = [_tool("dagster"), "job", "execute", "-m", "badc_dagster", "-j", "chunk_job"]
        tags = f'{{"dagster/partition": "{key}"}}'
        started_s = time.time()
        subprocess.run([*command, "--tags", tags], check=True, capture_output=True, cwd=root)
        with dg.DagsterInstance.get() as instance:
            (run,) = instance.get_runs(limit=1)
            return _first_step_start(instance, run.run_id) - started_s


def measure_orchestration() -> float:
    """Returns what everything but the work itself costs per recording and asset, in seconds.

    200 recordings go through the four core calls without Dagster, once to warm up and once for the
    clock; then through one `badc run`, whose whole wall time counts, Python's start, scan and
    planning included, but for the corpus at its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = write_noise(Path(folder), range(_N_SMALL))
        settings = '[detector]\nname = "band_energy"\n'
        for _ in range(2):
            with _project(files, settings) as root:
                bare_s = _time_core(root)
        with _project(files, settings) as root:
            started_s = time.perf_counter()
            _badc("run", root)
            wall_s = time.perf_counter() - started_s
            with dg.DagsterInstance.get() as instance:
                corpus_s = _run_s(instance, _run_of(instance, "corpus_detections"))
    return (wall_s - corpus_s - bare_s) / (_N_SMALL * len(STAGES))


def _time_core(root: Path) -> float:
    """Returns the seconds that the four core calls take without Dagster."""
    dataset = Dataset.open(root)
    registry = register_recordings(dataset).registry

    def describe(recording_id: str) -> None:
        recording = describe_recording(dataset, registry.require(recording_id))
        recording.write(dataset.recording(recording_id))

    started_s = time.perf_counter()
    _exhaust(for_each(registry.ids, describe, usable_cores()))
    _exhaust(for_each(registry.ids, lambda one: write_manifest(dataset, one)))
    with TelemetryLog(dataset.telemetry("bench")) as telemetry:
        _exhaust(detect_recordings(_inputs(dataset, "raw_detections", registry.ids), telemetry))
    _exhaust(select_detections(_inputs(dataset, "detections", registry.ids)))
    _exhaust(for_each(registry.ids, lambda one: write_bundle(dataset, one), usable_cores()))
    return time.perf_counter() - started_s


def _inputs(dataset: Dataset, stage: str, recording_ids: Sequence[str]) -> StepInputs:
    recordings = tuple(RecordingInput(one) for one in recording_ids)
    where = dataset.root, dataset.settings, dataset.work_folder
    return StepInputs(stage, *where, "benchmark", recordings)


def _exhaust(outcomes: Iterator[Outcome[object]]) -> None:
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        outcome.commit()


@contextmanager
def _project(audio_files: Sequence[Path], settings: str) -> Iterator[Path]:
    """Yields a dataset that links to the recordings, with a fresh Dagster home."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "dataset"
        for path in audio_files:
            target = root / "audio" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
        (root / "badc.toml").write_text(settings, encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(Path(folder) / "dagster_home")
        yield root


def _badc(command: str, root: Path) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run([_tool("badc"), command, root], check=True, stdout=quiet, stderr=quiet)


def _tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def _run_of(instance: dg.DagsterInstance, asset: str) -> str:
    """Returns the id of the latest run of an asset."""
    return _runs_of(instance, asset)[0]


def _runs_of(instance: dg.DagsterInstance, asset: str) -> list[str]:
    """Returns the ids of all runs of an asset, latest first."""
    key = dg.AssetKey(asset)
    found = [run for run in instance.get_runs() if key in (run.asset_selection or ())]
    if not found:
        raise LookupError(f"no run of {asset}")
    return [run.run_id for run in found]


def _step_s(instance: dg.DagsterInstance, run_id: str) -> float:
    (step,) = instance.get_run_step_stats(run_id)
    return float(step.end_time or 0) - float(step.start_time or 0)


def _first_step_start(instance: dg.DagsterInstance, run_id: str) -> float:
    return min(float(step.start_time or 0) for step in instance.get_run_step_stats(run_id))


def _run_s(instance: dg.DagsterInstance, run_id: str) -> float:
    """Returns the seconds from a run's creation to its end, with planning and all events."""
    record = instance.get_run_record_by_id(run_id)
    if record is None or record.end_time is None:
        raise LookupError(f"run {run_id} has not ended")
    return record.end_time - record.create_timestamp.timestamp()


def _audio_bytes(root: Path) -> int:
    """Returns the size of all audio files in a dataset, links not followed."""
    return sum(
        path.lstat().st_size for path in root.rglob("*") if path.suffix.lower() in _AUDIO_ENDINGS
    )
