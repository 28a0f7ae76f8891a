"""How far a dataset is, and what bringing it up to date came to."""

from collections.abc import Mapping
from dataclasses import dataclass

from badc_core.recordings.failures import StandingFailure
from badc_core.units import counted


@dataclass(frozen=True)
class StatusRow:
    """How far one asset is."""

    stage: str
    current: int
    due: int
    failed: int


@dataclass(frozen=True)
class StatusReport:
    """How far a dataset is.

    Attributes:
        rows: of each asset; none where there is trouble.
        failures: recordings that failed.
        dead_runs: unfinished runs whose process is gone, of any dataset.
        failed_runs: other runs that failed as a whole, and whose recordings are still due, and why
            each did; empty where only single recordings failed.
        missing: recordings whose file is gone; they are never due.
        total: recordings, with those.
        failed_assets: what went wrong with the corpus and exports when they were last tried.
        trouble: why nobody can say what is due under the settings of now; empty if somebody can.
    """

    rows: tuple[StatusRow, ...]
    failures: tuple[StandingFailure, ...]
    dead_runs: tuple[str, ...]
    failed_runs: Mapping[str, str]
    missing: tuple[str, ...]
    total: int
    failed_assets: tuple[str, ...]
    trouble: str = ""


@dataclass(frozen=True)
class RunOutcome:
    """What bringing a dataset up to date came to.

    Attributes:
        job_id: of the BADC job; None if no run was needed, or no job could be written.
        n_finished: recordings with nothing left to do.
        n_missing: recordings whose file is gone; they are none of those.
        n_incomplete: recordings with a result that lacks chunks.
        failures: recordings that failed, now or before, and have not been repaired.
        faults: what stopped a whole run, as against a recording, and checks that failed.
        warnings: checks that only warn.
        n_busy: recordings left alone because another run is at work on them.
        unattended: recordings that tasks on a cluster may still write, although nobody follows
            them: how many, why, and what to do.
        nothing_to_do: no run was needed.
        nothing_done: no recording was taken, since other runs are at work on all that are due.
        has_old_report: the report of all recordings is of an earlier run, as no new one was made.
    """

    job_id: str | None
    n_finished: int
    n_missing: int
    n_incomplete: int
    failures: tuple[StandingFailure, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    n_busy: int
    unattended: tuple[str, ...]
    nothing_to_do: bool
    nothing_done: bool
    has_old_report: bool

    def summarise(self, total: int) -> str:
        """Returns a line that counts every recording once.

        Args:
            total: recordings of the dataset.
        """
        n_failed = len(self.failures)
        n_left = total - self.n_finished - self.n_incomplete - self.n_missing - n_failed
        counts = {
            "without some chunks": self.n_incomplete,
            "missing": self.n_missing,
            "not done": max(0, n_left),
        }
        parts = [f"{n} {what}" for what, n in counts.items() if n]
        if n_failed or n_left <= 0:
            parts.append(f"{n_failed} failed")
        return ", ".join([f"{self.n_finished} of {counted(total, 'recording')} complete", *parts])
