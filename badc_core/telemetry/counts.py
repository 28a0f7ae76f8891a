"""The entries of a summary: the result of one chunk, and the work of one worker.

Attempts are added to them in `summary.py`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass
class Job:
    """The result of a chunk.

    Attributes:
        status: `success` once any attempt succeeded.
        attempts: that ended, in all runs with this log.
        retries: those after a run's first.
        output: file with the result.
        worker: the one that succeeded, or tried last.
        recording_id: the chunk's recording.
        last_backoff_s: wait after the last failure.
        last_error: the last failure's, also where a later attempt succeeded.
    """

    status: Literal["success", "failure"]
    recording_id: str
    attempts: int = 0
    retries: int = 0
    output: str | None = None
    worker: str = ""
    last_backoff_s: float | None = None
    last_error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the entry in the file; only failures have an `error`."""
        error = {} if self.status == "success" else {"error": self.last_error}
        return asdict(self) | error

    def absorb(self, older: "Job") -> None:
        """Adds the attempts of an earlier run."""
        if older.status == "success" and self.status == "failure":
            self.status, self.worker, self.output = "success", older.worker, older.output
        self.attempts += older.attempts
        self.retries += older.retries
        self.output = self.output or older.output
        if self.last_error is None:
            self.last_backoff_s, self.last_error = older.last_backoff_s, older.last_error


@dataclass
class WorkerCounts:
    """The work of a worker.

    Attributes:
        success: chunks it ended with a result.
        failure: chunks that were given up after its attempt.
        retries: its attempts after a chunk's first.
        failed_retries: its attempts that failed, tried again or not.
    """

    success: int = 0
    failure: int = 0
    retries: int = 0
    failed_retries: int = 0

    @property
    def jobs(self) -> int:
        """Chunks that it ended."""
        return self.success + self.failure

    def absorb(self, older: "WorkerCounts") -> None:
        """Adds the work of a worker with this label in an earlier run."""
        self.success += older.success
        self.failure += older.failure
        self.retries += older.retries
        self.failed_retries += older.failed_retries
