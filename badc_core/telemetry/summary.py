"""The result of every chunk and the work of every worker: `<log>.summary.json` and its table.

It is written repeatedly while a run goes on, so that an interrupted run has one too. An existing
summary is merged, never shrunk. One run at a time writes a log's summary. Its entries are in
`counts.py`.
"""

import io
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import require_fetched
from badc_core.atomic import write_text
from badc_core.csv_tables import write_rows
from badc_core.errors import DatasetInvalid
from badc_core.telemetry.attempts import Attempt
from badc_core.telemetry.counts import Job, WorkerCounts
from badc_core.units import counted
from badc_core.validation import explain_invalid

_INTERVAL_S = 10.0
_SHARE_OF_TIME = 0.02


@dataclass
class _Content:
    """The content of the file."""

    workers: dict[str, WorkerCounts]
    jobs: dict[str, Job]


_CONTENT = TypeAdapter(_Content)
WORKER_COLUMNS = ("worker", "jobs", "success", "failure", "retries", "failed_retries")


def summary_path(log: Path) -> Path:
    """Returns where a telemetry log's summary is."""
    return log.with_name(f"{log.name}.summary.json")


def workers_path(log: Path) -> Path:
    """Returns where the table of a telemetry log's workers is."""
    return log.with_name(f"{log.name}.summary.json.workers.csv")


@dataclass(frozen=True)
class Hotspot:
    """A chunk that needed more than one attempt, or failed."""

    chunk_id: str
    worker: str
    status: str
    retries: int
    last_error: str | None

    def __str__(self) -> str:
        retries = counted(self.retries, "retry", "retries")
        when = f"after {retries}" if self.retries else "at the first attempt"
        error = f", last error: {self.last_error}" if self.last_error else ""
        return f"{self.chunk_id} on {self.worker}: {self.status} {when}{error}"


@dataclass(frozen=True)
class Worst:
    """The worst chunks of a run."""

    hotspots: tuple[Hotspot, ...]
    n_more: int

    @property
    def n_chunks(self) -> int:
        """How many there are in all."""
        return len(self.hotspots) + self.n_more

    def __str__(self) -> str:
        lines = [str(one) for one in self.hotspots]
        return "\n".join(lines + ([f"and {self.n_more} more"] if self.n_more else []))


class Summary:
    """The summary of a telemetry log."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._jobs: dict[str, Job] = {}
        self._workers: dict[str, WorkerCounts] = {}
        self._ended: set[str] = set()
        self._n_retries = 0
        self._troubled: set[str] = set()
        self._due_s = 0.0

    @classmethod
    def load(cls, log: Path) -> Self:
        """Returns a log's summary as it was last written; an empty one if there is none.

        Raises:
            DatasetInvalid: the file is not a summary.
            ContentMissing: it is annexed, and its content is not here.
        """
        summary = cls(log)
        path = summary_path(log)
        require_fetched(path)
        if not path.exists():
            return summary
        try:
            content = _CONTENT.validate_json(path.read_bytes())
        except ValidationError as error:
            what = f"not a telemetry summary ({explain_invalid(error)})"
            raise DatasetInvalid(what, path, "Rename or delete it, then run again") from error
        summary._jobs, summary._workers = content.jobs, content.workers
        return summary

    def merge(self, older: "Summary") -> None:
        """Adds an earlier run's chunks and workers; what succeeded in either has succeeded."""
        for chunk_id, job in older.jobs().items():
            if chunk_id in self._jobs:
                self._jobs[chunk_id].absorb(job)
            else:
                self._jobs[chunk_id] = replace(job)
        for worker, counts in older.workers().items():
            self._workers.setdefault(worker, WorkerCounts()).absorb(counts)

    def resumed(
        self,
        chunk_id: str,
        recording_id: str,
        worker: str = "",
        attempts: int = 1,
        output: str | None = None,
    ) -> None:
        """Adds a chunk whose result exists from an interrupted run."""
        if chunk_id in self._ended:
            return
        self._ended.add(chunk_id)
        job = self._jobs.get(chunk_id)
        if job is None or job.status == "failure":
            result = Job("success", recording_id, attempts, attempts - 1, output, worker)
            if job is not None:
                result.last_backoff_s, result.last_error = job.last_backoff_s, job.last_error
                result.attempts = max(attempts, job.attempts)
                result.retries = max(attempts - 1, job.retries)
            self._jobs[chunk_id] = result

    def add(self, attempt: Attempt) -> None:
        """Adds an attempt; starts are not counted."""
        if attempt.status == "start":
            return
        self._n_retries += attempt.attempt > 1
        is_success = attempt.status == "success"
        counts = self._workers.setdefault(attempt.worker, WorkerCounts())
        counts.retries += attempt.attempt > 1
        counts.success += is_success
        counts.failed_retries += not is_success
        if is_success or not attempt.details.will_retry:
            counts.failure += not is_success
            self._ended.add(attempt.chunk_id)
        if not is_success or attempt.attempt > 1:
            self._troubled.add(attempt.chunk_id)
        self._note(attempt)

    @property
    def n_chunks(self) -> int:
        """Chunks that have ended in this run; those of earlier runs count only if resumed."""
        return len(self._ended)

    @property
    def n_retries(self) -> int:
        """This run's attempts after a chunk's first."""
        return self._n_retries

    def worst(self, n: int = 5) -> Worst:
        """Returns this run's chunks that were tried again or failed: failures first."""
        found = [(chunk_id, self._jobs[chunk_id]) for chunk_id in self._troubled]
        found.sort(key=lambda one: (one[1].status == "success", -one[1].retries, one[0]))
        named = tuple(
            Hotspot(chunk_id, job.worker, job.status, job.retries, job.last_error)
            for chunk_id, job in found[:n]
        )
        return Worst(named, len(found) - len(named))

    def jobs(self) -> dict[str, Job]:
        """Returns chunk_id -> its result, of all runs with this log."""
        return dict(self._jobs)

    def workers(self) -> dict[str, WorkerCounts]:
        """Returns the work of each worker, by label."""
        return dict(sorted(self._workers.items()))

    def maybe_write(self, now_s: float) -> bool:
        """Writes the summary if it is due: the longer writing takes, the less often.

        Args:
            now_s: on a monotonic clock.

        Returns:
            Whether it was written.
        """
        if now_s < self._due_s:
            return False
        started_s = time.perf_counter()
        self.write()
        took_s = time.perf_counter() - started_s
        self._due_s = now_s + max(_INTERVAL_S, took_s / _SHARE_OF_TIME)
        return True

    def write(self) -> None:
        """Writes the summary and the table of workers.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        content = {
            "telemetry_log": str(self.log),
            "workers": {label: asdict(counts) for label, counts in self.workers().items()},
            "jobs": {chunk_id: job.to_json() for chunk_id, job in self._jobs.items()},
        }
        write_text(summary_path(self.log), json.dumps(content, indent=1) + "\n")
        write_text(workers_path(self.log), self._workers_csv())

    def _workers_csv(self) -> str:
        text = io.StringIO()
        rows = (
            {"worker": label, "jobs": counts.jobs, **asdict(counts)}
            for label, counts in self.workers().items()
        )
        write_rows(text, WORKER_COLUMNS, ([row[name] for name in WORKER_COLUMNS] for row in rows))
        return text.getvalue()

    def _note(self, attempt: Attempt) -> None:
        """Updates a chunk's own entry."""
        fresh = Job("failure", attempt.recording_id)
        job = self._jobs.setdefault(attempt.chunk_id, fresh)
        job.attempts += 1
        job.retries += attempt.attempt > 1
        if attempt.status == "success":
            job.status, job.output = "success", attempt.details.output
        else:
            job.last_backoff_s, job.last_error = attempt.details.backoff_s, attempt.error
        if attempt.status == "success" or job.status == "failure":
            job.worker = attempt.worker
