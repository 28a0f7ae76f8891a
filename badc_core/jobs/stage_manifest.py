"""A stage's account of itself: what it read and wrote, with which result.

Which stage runs next is decided by the orchestrator, see `pipeline_manifest.py`.
"""

import logging
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from badc_core.accounts import describe_process
from badc_core.atomic import remove_abandoned
from badc_core.errors import ConfigInvalid
from badc_core.file_names import absolute
from badc_core.jobs.layout import FAILED, RUNNING, SKIPPED, STATUSES, SUCCESS, Json, attempt_of
from badc_core.jobs.manifest_files import (
    read_job,
    read_record,
    secrets_of,
    stage_file,
    write_record,
)
from badc_core.jobs.outputs import StageOutput, describe_input, write_table
from badc_core.jobs.values import SCHEMA_VERSION, checked_name, explain_type, now_text, to_json


class Logger(Protocol):
    """What a stage's logger must have."""

    def info(self, message: str, /) -> Any:
        """Logs what is as expected."""

    def warning(self, message: str, /) -> Any:
        """Logs what may be wrong."""

    def error(self, message: str, /) -> Any:
        """Logs a failure."""


class StageManifest:
    """The record of one attempt at a stage; it counts as running from the moment this is made.

    As a context manager it is saved as `success`, or as `failed` if an exception ends the block.
    Without one, call `save`.

    Args:
        stage: its name.
        folder: of the job, or of the movie; `manifest.json` is there.
        logger: of the stage; None for this module's.
        job_id, user_id, job_env_file: of the job, if it belongs to one; None for those of
            `job_info.json` in the folder, if any.
        number: the place of the stage in its pipeline; None to count by when stages first began.
        optional: the pipeline goes on without it, so a failure makes it `skipped`.

    Raises:
        ConfigInvalid: the name cannot name files.
        StorageFull, OutputUnwritable: the record cannot be written.
    """

    def __init__(  # noqa: PLR0913  (the first six as documented)
        self,
        stage: str,
        folder: Path,
        logger: Logger | None = None,
        job_id: str | None = None,
        user_id: int | str | None = None,
        job_env_file: Path | None = None,
        *,
        number: int | None = None,
        optional: bool = False,
    ) -> None:
        self.stage = checked_name(stage, "stage")
        self.folder = Path(folder)
        self._logger = logger or logging.getLogger(__name__)
        self._failure = SKIPPED if optional else FAILED
        self._secrets = secrets_of(self.folder, job_env_file)
        self._inputs: list[Json] = []
        self._outputs: dict[str, StageOutput] = {}
        self._metadata: Json = {}
        self._warnings: list[str] = []
        self._error: str | None = None
        self._is_saved = False
        self._began_s = time.monotonic()
        self._start = self._start_record(job_id, user_id, job_env_file, number)
        self._write(RUNNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            if not self._is_saved:
                self.save(SUCCESS if self._error is None else self._failure)
            return
        if self._error is None:
            self.set_error(explain_type(error))
        self.save(self._failure)

    def add_input(
        self, key: str, path: Path, description: str = "", sha256: str | None = None
    ) -> None:
        """Records a file that the stage reads; its checksum only if it is given."""
        self._inputs.append(describe_input(key, path, description, sha256, self._secrets))

    def add_output(
        self, key: str, path: Path, description: str = "", sha256: str | None = None
    ) -> None:
        """Records a file that the stage has written.

        Args:
            key: what it is called in the manifest.
            path: the file, or a folder, of which no size is recorded.
            description: for people.
            sha256: of the file, if it is known; None to compute it. Of a folder: what
                `hash_folder` says of it; None for a folder that others may change.
        """
        self._outputs[self._secrets.mask_text(key)] = StageOutput(path, description, sha256)

    def add_output_table(
        self,
        key: str,
        paths: Iterable[Path],
        description: str = "",
        sha256: Mapping[Path, str] | None = None,
    ) -> None:
        """Records many files that the stage has written, as rows of a table beside its record.

        Args:
            key: what the table is called in the manifest, and in the name of its file.
            paths: the files.
            description: for people.
            sha256: of files of which it is known.

        Raises:
            ConfigInvalid: the key cannot name files.
            StorageFull, OutputUnwritable: the table cannot be written.
        """
        name = f"{self.stage}.{checked_name(key, 'table of outputs')}.csv"
        table = stage_file(self.folder, self.stage).with_name(name)
        files = [Path(one) for one in paths]
        totals = write_table(table, files, sha256 or {}, self._secrets)
        self._outputs[key] = StageOutput(table, description, None, totals)

    def add_metadata(self, key: str, value: Any) -> None:
        """Records a fact; what JSON does not have is written as text."""
        self._metadata[str(key)] = to_json(value)

    def add_warning(self, message: str) -> None:
        """Records something that may be wrong although the stage goes on."""
        self._warnings.append(self._secrets.mask_text(str(message)))

    def set_error(self, message: str) -> None:
        """Records why the stage failed."""
        self._error = self._secrets.mask_text(str(message))

    def save(self, status: str = SUCCESS) -> None:
        """Ends the attempt; may be called again, and what was recorded since is saved too.

        Args:
            status: `success`, `failed`, `skipped` or `running`.

        Raises:
            ConfigInvalid: there is no such status.
            StorageFull, OutputUnwritable: it cannot be written.
        """
        if status not in STATUSES:
            raise ConfigInvalid("not a status of a stage", status, f"Use {', '.join(STATUSES)}")
        if status == SUCCESS:
            self._error = None
            self._look_at_outputs()
        caught = sys.exc_info()[1]
        if status == FAILED and self._error is None and caught is not None:
            self.set_error(explain_type(caught))
        self._write(status)
        self._is_saved = status != RUNNING
        self._log_end(status)

    def _start_record(
        self,
        job_id: str | None,
        user_id: int | str | None,
        job_env_file: Path | None,
        number: int | None,
    ) -> Json:
        for one in (self.folder, stage_file(self.folder, self.stage).parent):
            remove_abandoned(one)
        before, job = read_record(self.folder, self.stage), read_job(self.folder)
        env_file = job.get("env_file") if job_env_file is None else str(job_env_file)
        now = now_text()
        return {
            "schema": SCHEMA_VERSION,
            "job_id": job.get("job_id") if job_id is None else job_id,
            "user_id": job.get("user_id") if user_id is None else user_id,
            "stage_number": number,
            "stage_name": self.stage,
            "job_env_file": env_file,
            "attempt": attempt_of(before) + 1,
            "ran_by": describe_process(),
            "folder": str(absolute(self.folder)),
            "first_started_at": before.get("first_started_at") or before.get("started_at") or now,
            "started_at": now,
        }

    def _look_at_outputs(self) -> None:
        """Reads outputs again that changed since they were added; warns of those not there."""
        for key, output in self._outputs.items():
            output.renew()
            if not output.exists:
                self.add_warning(f"the output {key} does not exist")

    def _write(self, status: str) -> None:
        now = now_text()
        has_ended = status != RUNNING
        record = {
            **self._start,
            "status": status,
            "updated_at": now,
            "completed_at": now if has_ended else None,
            "duration_seconds": time.monotonic() - self._began_s if has_ended else None,
            "input_files": self._inputs,
            "outputs": {key: one.describe(self._secrets) for key, one in self._outputs.items()},
            "metadata": self._secrets.mask_json(self._metadata),
            "warnings": self._warnings,
        }
        if self._error is not None and has_ended:
            record["error"] = self._error
        write_record(self.folder, self.stage, record)

    def _log_end(self, status: str) -> None:
        reason = f": {self._error}" if self._error else ""
        log = self._logger.error if status == FAILED else self._logger.info
        log(f"stage {self.stage}: {status}{reason}")
