"""The record of a stage whose work comes in parts: batches, and several processes at once.

A part is what one run of an orchestrator does of a stage. Each changes the stage's record under a
lock, so that together they leave one record: it succeeds once no part is at work, none has failed,
and no recording has. What is recorded of single recordings is in tables (`recording_tables.py`).
"""

import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from badc_core.accounts import describe_process
from badc_core.file_names import absolute
from badc_core.jobs import recording_tables as tables
from badc_core.jobs.job_log import open_log
from badc_core.jobs.layout import FAILED, RUNNING, SUCCESS, Json
from badc_core.jobs.manifest_files import (
    read_job,
    read_record,
    secrets_of,
    write_record,
)
from badc_core.jobs.outputs import FileState, StageOutput, describe_input
from badc_core.jobs.values import SCHEMA_VERSION, checked_name, now_text, to_json
from badc_core.locks import locked
from badc_core.units import counted, format_duration

_MOST_WARNINGS = 100


@dataclass(frozen=True)
class Part:
    """Which part of the work on a stage.

    Attributes:
        stage: the stage.
        name: of the part, such as the id of a run.
        attempt: of the whole job; in a later one the stage begins again.
        replaces: parts that this one does again, so that their errors are over.
    """

    stage: str
    name: str
    attempt: int = 1
    replaces: Set[str] = field(default_factory=frozenset)


class StagePart:
    """A part at work; it counts as running until `end`.

    Args:
        folder: of the job.
        part: which part.
        inputs: key -> file that the stage reads, beside recordings.

    Raises:
        ConfigInvalid: the name of the stage cannot name files.
        StorageFull, OutputUnwritable: nothing can be written.
    """

    def __init__(self, folder: Path, part: Part, inputs: Mapping[str, Path]) -> None:
        checked_name(part.stage, "stage")
        self._folder = folder
        self._part = part
        self._secrets = secrets_of(folder)
        self._began_s = time.monotonic()
        self._written = tables.open_outputs(folder, part.stage)
        self._failed: dict[str, str] = {}
        self._done: set[str] = set()
        self._forgiven: set[str] = set()
        self._counts: dict[str, float] = {}
        self._metadata: Json = {}
        self._outputs: dict[str, StageOutput] = {}
        self._warnings: list[str] = []
        self._began_at = now_text()
        with locked(runs_lock(folder)):
            record = self._begin(read_record(folder, part.stage), inputs)
            write_record(folder, part.stage, record)
        self._log = open_log(folder, part.stage, self._secrets)
        self._log.write("info", f"{part.name} began, attempt {record['attempt']}")

    def add_written(self, recording_id: str, files: Iterable[tuple[Path, int, str]]) -> None:
        """Records what was written for a recording, which has succeeded.

        Args:
            recording_id: the recording; empty for files about all of them.
            files: absolute path, size in bytes and SHA-256 of each file.
        """
        rows = [
            tables.WrittenFile(recording_id, self._secrets.mask_path(str(path)), size_bytes, sha256)
            for path, size_bytes, sha256 in files
        ]
        self._written.append(rows)
        if recording_id:
            self._done.add(recording_id)
            self._failed.pop(recording_id, None)

    def add_failed(self, recording_id: str, reason: str) -> None:
        """Records why a recording failed."""
        self._failed[recording_id] = self._secrets.mask_text(reason)
        self._log.write("error", f"{recording_id} failed: {reason}")

    def forgive(self, recording_ids: Iterable[str]) -> None:
        """Says that recordings, if they failed before, have succeeded elsewhere."""
        self._forgiven.update(recording_ids)

    def add_output(self, key: str, path: Path, sha256: str | None = None) -> None:
        """Records a file about all recordings."""
        self._outputs[key] = StageOutput(path, "", sha256)

    def count(self, key: str, number: float) -> None:
        """Adds to a number that the parts of an attempt have together."""
        self._counts[key] = self._counts.get(key, 0) + number

    def add_metadata(self, key: str, value: Any) -> None:
        """Records a fact, in place of what an earlier part said."""
        self._metadata[key] = to_json(value)

    def add_warning(self, message: str) -> None:
        """Records something that may be wrong."""
        self._warnings.append(self._secrets.mask_text(message))
        self._log.write("warning", message)

    def end(self, error: str = "") -> None:
        """Ends the part.

        Args:
            error: why it failed, apart from recordings that failed themselves; empty if it did not.

        Raises:
            StorageFull, OutputUnwritable: it cannot be written.
        """
        self._written.close()
        folder, stage = self._folder, self._part.stage
        with locked(runs_lock(folder)):
            record = read_record(folder, stage)
            failures = tables.read_failures(folder, stage)
            over = self._done | self._forgiven
            standing = {one: why for one, why in failures.items() if one not in over}
            standing |= self._failed
            if standing != failures:
                tables.write_failures(folder, stage, standing)
            self._merge(record, self._secrets.mask_text(error))
            _conclude(folder, stage, record, standing)
            write_record(folder, stage, record)
        if error:
            self._log.write("error", error)
        took = format_duration(time.monotonic() - self._began_s)
        self._log.write("info", f"{self._part.name} ended after {took}{self._summarise(error)}")

    def _summarise(self, error: str) -> str:
        """Returns how the part ended; a part about all recordings has none to count."""
        if self._done or self._failed:
            done = counted(len(self._done), "recording")
            return f": {done} done, {len(self._failed)} failed"
        return ": failed" if error else ""

    def _begin(self, before: Json, inputs: Mapping[str, Path]) -> Json:
        """Returns the record with this part at work in it."""
        part, now, job = self._part, self._began_at, read_job(self._folder)
        known = before.get("parts", {})
        # A process that begins while another of its run is at work does nothing again.
        is_beside = part.name in known.get("at_work", {})
        done_again = {*part.replaces, *([] if is_beside else [part.name])}
        failed = {key: known.get(key, {}) for key in ("errors", "lost")}
        kept = {
            key: {name: why for name, why in ended.items() if name not in done_again}
            for key, ended in failed.items()
        }
        is_new = known.get("attempt") != part.attempt
        is_repeated = is_new or kept != failed
        if is_new:
            known, kept = {}, {"errors": {}, "lost": {}}
        same = {} if is_new else before
        at_work = {**known.get("at_work", {}), part.name: now}
        described = [
            describe_input(key, path, "", None, self._secrets) for key, path in inputs.items()
        ]
        attempt = int(before.get("attempt", 0))
        return {
            "schema": SCHEMA_VERSION,
            "job_id": job.get("job_id"),
            "user_id": job.get("user_id"),
            "stage_number": before.get("stage_number"),
            "stage_name": part.stage,
            "job_env_file": job.get("env_file"),
            "attempt": attempt + 1 if is_repeated else attempt,
            "ran_by": describe_process(),
            "folder": str(absolute(self._folder)),
            "first_started_at": before.get("first_started_at") or now,
            "started_at": same.get("started_at", now),
            "status": RUNNING,
            "updated_at": now,
            "completed_at": None,
            "duration_seconds": None,
            "input_files": described,
            "outputs": same.get("outputs", {}),
            "metadata": same.get("metadata", {}),
            "warnings": same.get("warnings", []),
            "parts": {**known, "attempt": part.attempt, "at_work": at_work, **kept},
        }

    def _merge(self, record: Json, error: str) -> None:
        """Enters what this part did into a record."""
        parts, metadata = record.setdefault("parts", {}), record.setdefault("metadata", {})
        name, at_work = self._part.name, parts.setdefault("at_work", {})
        # Another process of the same run may have begun since.
        if at_work.get(name) == self._began_at:
            del at_work[name]
        parts.get("lost", {}).pop(name, None)  # others may have taken it for dead
        parts["seconds"] = parts.get("seconds", 0.0) + time.monotonic() - self._began_s
        if error:
            errors = parts.setdefault("errors", {})
            before = [errors[name]] if name in errors else []
            errors[name] = "\n".join((*before, error)) if error not in before else error
        for key, number in self._counts.items():
            metadata[key] = metadata.get(key, 0) + number
        if self._done:
            metadata["recordings_done"] = metadata.get("recordings_done", 0) + len(self._done)
        if metadata.get("audio_s"):
            metadata["x_realtime"] = round(metadata["audio_s"] / parts["seconds"], 2)
        metadata.update(self._secrets.mask_json(self._metadata))
        known = record.get("warnings", [])
        new = [one for one in dict.fromkeys(self._warnings) if one not in known]
        record["warnings"] = [*known, *new][:_MOST_WARNINGS]
        described = {key: one.describe(self._secrets) for key, one in self._outputs.items()}
        record["outputs"] = {**record.get("outputs", {}), **described}


def end_lost_parts(folder: Path, stage: str, names: Set[str] | None, reason: str) -> None:
    """Ends parts whose process is gone.

    Args:
        folder: of the job.
        stage: the stage.
        names: the parts; None for all that are at work.
        reason: why they have failed.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    with locked(runs_lock(folder)):
        record = read_record(folder, stage)
        parts = record.get("parts", {})
        lost = [one for one in parts.get("at_work", {}) if names is None or one in names]
        if not lost:
            return
        for one in lost:
            del parts["at_work"][one]
            parts.setdefault("lost", {})[one] = reason
        _conclude(folder, stage, record, tables.read_failures(folder, stage))
        write_record(folder, stage, record)
    log = open_log(folder, stage, secrets_of(folder))
    for one in lost:
        log.write("error", f"{one} was ended: {reason}")


def _conclude(folder: Path, stage: str, record: Json, failures: Mapping[str, str]) -> None:
    """Enters into a record what follows from its parts and tables: status, error, times."""
    parts, now = record["parts"], now_text()
    ended = (*parts.get("errors", {}).values(), *parts.get("lost", {}).values())
    reasons = list(dict.fromkeys(ended))
    if failures:
        first, why = min(failures.items())
        which = first if len(failures) == 1 else f"{len(failures)} recordings, such as {first},"
        reasons.append(f"{which} failed: {why}")
    is_at_work = bool(parts.get("at_work"))
    record["status"] = RUNNING if is_at_work else FAILED if reasons else SUCCESS
    record["updated_at"] = now
    record["completed_at"] = None if is_at_work else now
    record["duration_seconds"] = None if is_at_work else parts.get("seconds", 0.0)
    record.pop("error", None)
    if reasons and not is_at_work:
        record["error"] = "\n".join(reasons)
    if failures or "recordings_done" in record["metadata"]:
        record["metadata"]["recordings_failed"] = len(failures)
    for key, table in (
        ("outputs", tables.outputs_table(folder, stage)),
        ("failures", tables.failures_table(folder, stage)),
    ):
        record["outputs"].pop(key, None)
        state = FileState.read(table)
        if state.exists:
            # Without a checksum: other parts add rows, and hashing takes long for a large archive.
            record["outputs"][key] = {
                "path": secrets_of(folder).mask_path(str(absolute(table))),
                "exists": True,
                "size_bytes": state.size_bytes,
                "sha256": None,
                "description": f"{key} of single recordings",
            }


def runs_lock(folder: Path) -> Path:
    """Returns the file that is locked while what runs record of a job changes."""
    return folder / ".runs.lock"
