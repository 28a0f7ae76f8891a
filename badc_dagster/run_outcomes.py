"""How far a dataset is, and what bringing it up to date came to."""

from dataclasses import dataclass

from badc_core.recordings.failures import StandingFailure


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
        failed_runs: other runs that failed as a whole, and whose recordings are still due.
        missing: recordings whose file is gone; they are never due.
        total: recordings, with those.
        trouble: why nobody can say what is due under the settings of now; empty if somebody can.
    """

    rows: tuple[StatusRow, ...]
    failures: tuple[StandingFailure, ...]
    dead_runs: tuple[str, ...]
    failed_runs: tuple[str, ...]
    missing: tuple[str, ...]
    total: int
    trouble: str = ""


@dataclass(frozen=True)
class RunOutcome:
    """What bringing a dataset up to date came to.

    Attributes:
        n_finished: recordings with nothing left to do.
        n_missing: recordings whose file is gone; they are none of those.
        n_incomplete: recordings with a result that lacks chunks.
        failures: recordings that failed, now or before, and have not been repaired.
        faults: what stopped a whole run, as against a recording, and checks that failed.
        warnings: checks that only warn.
        n_busy: recordings left alone because another run is at work on them.
        nothing_to_do: no run was needed.
        nothing_done: no recording was taken, since other runs are at work on all that are due.
    """

    n_finished: int
    n_missing: int
    n_incomplete: int
    failures: tuple[StandingFailure, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    n_busy: int
    nothing_to_do: bool
    nothing_done: bool
