"""The entries of a summary: what became of one chunk, and what one worker did.

How attempts get there is in `summary.py`.
"""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass
class Job:
    """What became of a chunk.

    Attributes:
        status: `success` once any attempt succeeded.
        attempts: that ended, in all runs with this log.
        retries: those after a run's first.
        output: file with the result.
        worker: who tried last, or succeeded.
        recording_id: whose slice it is.
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
        """Returns it as it stands in the file; `error` is there only for failures."""
        content = {
            "status": self.status,
            "attempts": self.attempts,
            "retries": self.retries,
            "output": self.output,
            "worker": self.worker,
            "recording_id": self.recording_id,
            "last_backoff_s": self.last_backoff_s,
            "last_error": self.last_error,
        }
        return content if self.status == "success" else {**content, "error": self.last_error}

    def absorb(self, older: "Job") -> None:
        """Adds what an earlier run did for this chunk."""
        if older.status == "success" and self.status == "failure":
            self.status, self.worker, self.output = "success", older.worker, older.output
        self.attempts += older.attempts
        self.retries += older.retries
        self.output = self.output or older.output
        if self.last_error is None:
            self.last_backoff_s, self.last_error = older.last_backoff_s, older.last_error


@dataclass
class WorkerCounts:
    """What a worker did.

    Attributes:
        success: chunks it ended with a result.
        failure: chunks that were given up in its hands.
        retries: its attempts after a chunk's first.
        failed_retries: its attempts that failed, tried again or not.
    """

    success: int = 0
    failure: int = 0
    retries: int = 0
    failed_retries: int = 0

    @property
    def jobs(self) -> int:
        """Chunks that ended with it."""
        return self.success + self.failure

    def absorb(self, older: "WorkerCounts") -> None:
        """Adds what a worker with this label did in an earlier run."""
        self.success += older.success
        self.failure += older.failure
        self.retries += older.retries
        self.failed_retries += older.failed_retries
