"""Runs one stage of a job: attempts, time limit, device, log and manifest.

Whether it has to run is decided in `resuming.py`, which stage comes next in `run.py`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.errors import BadcError, StageBusy, StageFailed
from badc_core.jobs import StageManifest, load_manifest, stage_environment
from badc_core.jobs.environment import restore_configuration
from badc_core.jobs.layout import FAILED, RUNNING, SKIPPED, SUCCESS
from badc_core.jobs.manifest_files import secrets_of
from badc_core.jobs.outputs import hash_folder
from badc_core.jobs.stage_manifest import Logger
from badc_core.jobs.work_lock import working_on
from badc_core.locks import try_lock_file, unlock
from badc_core.pipelines.definition import Pipeline, PipelineStage
from badc_core.pipelines.own_record import adopt_record, read_own_record
from badc_core.pipelines.pipeline_job import PipelineJob
from badc_core.pipelines.processes import end_processes, mark_of
from badc_core.pipelines.program import Ended, Program, run_to_end
from badc_core.pipelines.stage_basis import (
    FINGERPRINT,
    PIPELINE,
    RAN_AFTER,
    SETTINGS,
    attempts_before,
    skipped_stages,
)
from badc_core.pipelines.stage_call import CALL_VARIABLE, DEVICE_NEEDED
from badc_core.pipelines.stage_files import (
    clear_outputs,
    lacking,
    require_inputs,
    require_outputs,
)
from badc_core.pipelines.stage_lease import StageDevice, stage_device
from badc_core.pipelines.templates import fill_in

_COMMAND, _LEASED, _BY_ITSELF = "command", "leased_devices", "skipped_by_itself"
_OURS = {FINGERPRINT, RAN_AFTER, SETTINGS, PIPELINE, _COMMAND, _LEASED, _BY_ITSELF}


@dataclass(frozen=True)
class StageEnd:
    """How a stage ended.

    Attributes:
        status: `success`, `failed` or `skipped`.
        reason: why it failed or was skipped; empty after a success.
        n_attempts: how often it was tried now.
    """

    status: str
    reason: str = ""
    n_attempts: int = 1


class StageRunner:
    """Runs a stage of a job.

    Args:
        pipeline, job, stage: which.
        logger: gets failures and retries.
    """

    def __init__(
        self, pipeline: Pipeline, job: PipelineJob, stage: PipelineStage, logger: Logger
    ) -> None:
        self._pipeline = pipeline
        self._job = job
        self._stage = stage
        self._logger = logger
        self._mark = mark_of(job.folder, stage.name)
        self._notes: list[str] = []
        self._lock = -1

    def run(self) -> StageEnd:
        """Runs the stage, again after failures if it may be; its record says how it ended.

        Whatever ends this process in an orderly way, the record is saved as failed before.

        Raises:
            StageBusy: another process runs this stage of the job.
            StorageFull, OutputUnwritable: its record cannot be written.
        """
        with _locked(self._job, self._stage), working_on(self._job.folder) as self._lock:
            if end_processes(self._mark):
                self._note("processes of a killed attempt were still running, and were ended")
            if note := restore_configuration(self._job.config, self._job.backup):
                self._note(note)
            n_attempts = 0
            while True:
                n_attempts += 1
                end = self._attempt(is_last=n_attempts > self._stage.retries)
                if end is not None:
                    return StageEnd(end.status, end.reason, n_attempts)

    def _attempt(self, *, is_last: bool) -> StageEnd | None:
        """Returns how the stage ended; None if it is to be tried again."""
        number = self._pipeline.number(self._stage.name)
        record = StageManifest(self._stage.name, self._job.folder, self._logger, number=number)
        for note in self._notes:
            record.add_warning(note)
        try:
            end = self._work(record)
            if end.reason:
                record.set_error(end.reason)
            record.save(end.status)
        except BadcError as error:
            again = error.retryable and not is_last
            status = SKIPPED if self._stage.optional and not again else FAILED
            end = StageEnd(status, self._mask(str(error)))
            record.set_error(end.reason)
            record.save(status)
            if again:
                self._note(f"attempt failed: {end.reason}")
                return None
        except BaseException as error:
            # Interrupted: even an optional stage is not skipped, but has to run again.
            record.set_error(f"interrupted ({type(error).__name__}: {error})")
            record.save(FAILED)
            raise
        return end

    def _work(self, record: StageManifest) -> StageEnd:
        """Runs the process and looks at what it left; only a success leaves outputs.

        Raises:
            ContentMissing: an input is not there.
            StageFailed: the process failed, ran out of time, or lacks an output.
            ProgramMissing, ConfigInvalid: it cannot be started.
            OutputUnwritable: outputs cannot be removed.
        """
        job, stage, outputs = self._job, self._stage, self._job.output_paths(self._stage)
        skipped = skipped_stages(job, self._pipeline)
        record.add_metadata(FINGERPRINT, stage.fingerprint)
        record.add_metadata(PIPELINE, str(self._pipeline.path))
        if stage.settings:
            record.add_metadata(SETTINGS, job.settings_of(stage))
        record.add_metadata(RAN_AFTER, attempts_before(job, self._pipeline, stage))
        needed = job.input_paths(self._pipeline, stage, needed=True)
        more = job.input_paths(self._pipeline, stage, needed=False)
        for text, path in (*needed.items(), *more.items()):
            if text in needed or path.exists():
                record.add_input(text, path, sha256=job.hash_input(path))
        clear_outputs(outputs, job.folder, job.input)
        status = FAILED
        try:
            writers = self._skipped_writers(needed, skipped)
            end = self._skip_likewise(needed, writers)
            if end is None:
                require_inputs(needed, writers)
                end = self._call(record, skipped)
            status = end.status
            if status == SKIPPED:
                record.add_metadata(_BY_ITSELF, True)
        finally:
            if status != SUCCESS:
                # Others would take what it half wrote for whole.
                clear_outputs(outputs, job.folder, job.input)
        return end

    def _skip_likewise(self, needed: dict[str, Path], writers: dict[str, str]) -> StageEnd | None:
        """Returns that the stage is skipped if one that writes its inputs has skipped itself.

        Args:
            needed: input -> its path.
            writers: input -> the skipped stage that should have written it.
        """
        records = (load_manifest(self._job.folder) or {}).get("stages", {})
        for text, name in writers.items():
            record = records.get(name, {})
            if record.get("metadata", {}).get(_BY_ITSELF):
                why = f"since the stage {name} was skipped: {record.get('error')}"
                return StageEnd(SKIPPED, f"{lacking(text, needed[text])}, {why}")
        return None

    def _call(self, record: StageManifest, skipped: tuple[str, ...]) -> StageEnd:
        """Runs the process, again with a GPU if it asks for one, and records what it wrote."""
        job, stage, outputs = self._job, self._stage, self._job.output_paths(self._stage)
        ended = self._run_process(record, skipped, needs_device=stage.device)
        own = read_own_record(job.folder, stage.name)
        if not stage.device and own.get("metadata", {}).get(DEVICE_NEEDED):
            record.save(RUNNING)
            ended = self._run_process(record, skipped, needs_device=True)
            own = read_own_record(job.folder, stage.name)
        if ended.left_processes and ended.returncode is not None:
            record.add_warning("it left processes running, which were ended")
        adopt_record(own, record, _OURS)
        self._require_success(ended, own)
        if own.get("status") == SKIPPED:
            return StageEnd(SKIPPED, str(own.get("error") or "it said so"))
        require_outputs(outputs, job.stage_log(stage))
        named = {one.get("path") for one in own.get("outputs", {}).values()}
        for text, path in outputs.items():
            if str(path) not in named:
                record.add_output(text, path, sha256=hash_folder(path))
        return StageEnd(SUCCESS)

    def _run_process(
        self, record: StageManifest, skipped: tuple[str, ...], *, needs_device: bool
    ) -> Ended:
        """Runs the process of the stage, with a GPU of its own if it needs one."""
        job, stage = self._job, self._stage
        with stage_device(needs_device, f"stage {stage.name} of job {job.job_id}") as device:
            if device.lease:
                record.add_metadata(_LEASED, device.lease)
            call = job.describe_call(self._pipeline, stage, skipped, has_device=needs_device)
            return run_to_end(self._program(device, call, record), stage.timeout_s)

    def _program(self, device: StageDevice, call: str, record: StageManifest) -> Program:
        """Returns the process to start; what it is, is noted in record and log."""
        job, stage = self._job, self._stage
        if stage.python:
            words = [sys.executable, "-P", "-m", "badc_core.pipelines.python_stage", stage.python]
        else:
            values = job.values(self._pipeline, stage)
            words = [fill_in(word, values) for word in stage.command]
        secrets = secrets_of(job.folder, job.settings)
        shown = secrets.mask_command(words)
        record.add_metadata(_COMMAND, shown)
        self._logger.info(f"stage {stage.name} starts: {shown}")
        environment = {
            **stage_environment(job.settings),
            **device.environment,
            CALL_VARIABLE: call,
        }
        log = job.stage_log(stage)
        # Nobody moves the job's files while a process of it lives, with or without its runner.
        inherited = (*device.descriptors, self._lock)
        return Program(words, job.folder, environment, log, secrets, self._mark, inherited)

    def _require_success(self, ended: Ended, own: dict[str, Any]) -> None:
        said = str(own.get("error") or "") if own.get("status") == FAILED else ""
        is_late = ended.returncode is None
        what = "" if said and not is_late else ended.explain_failure(self._stage.timeout_s)
        if said or what:
            raise StageFailed(what or said, remedy=f"See {self._job.stage_log(self._stage)}")

    def _skipped_writers(self, needed: dict[str, Path], skipped: tuple[str, ...]) -> dict[str, str]:
        """Returns input -> the skipped stage that should have written it, or something in it."""
        writers = {
            path: one
            for one in skipped
            for path in self._job.output_paths(self._pipeline.stage(one)).values()
        }
        return {
            text: one
            for text, path in needed.items()
            for written, one in writers.items()
            if path.is_relative_to(written) or written.is_relative_to(path)
        }

    def _note(self, what: str) -> None:
        self._notes.append(what)
        self._logger.warning(f"stage {self._stage.name}: {what}")

    def _mask(self, text: str) -> str:
        return secrets_of(self._job.folder).mask_text(text)


@contextmanager
def _locked(job: PipelineJob, stage: PipelineStage) -> Iterator[None]:
    """Keeps other processes from running a stage of a job; the kernel ends that with ours."""
    path = job.folder / "stages" / f".{stage.name}.lock"
    descriptor = try_lock_file(path)
    if descriptor is None:
        remedy = "Wait until that ends, or stop it"
        raise StageBusy(f"another process runs the stage {stage.name}", job.folder, remedy)
    try:
        yield
    finally:
        unlock(descriptor)
