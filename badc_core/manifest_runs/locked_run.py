"""The run of a recording that keeps its telemetry log to itself while it lasts."""

from contextlib import ExitStack

from badc_core.inference.holding import hold
from badc_core.manifest_runs.manifest_run import ManifestRun
from badc_core.manifest_runs.run_spec import RunResult, RunSpec


class LockedRun(ManifestRun):
    """The run of one recording, with a log that is always the same.

    What the log's summary says is read once no other run can write it.

    Args:
        order: what is to be run.
        recording_id: whose chunks the manifest has.

    Raises:
        RecordingBusy: another run is at work on it.
        StorageFull, OutputUnwritable: there is no place for the lock, nor would be for the log.
        ManifestMismatch, DatasetInvalid, ConfigInvalid, DetectorMissing: as for `ManifestRun`.
    """

    def __init__(self, order: RunSpec, recording_id: str) -> None:
        log = order.telemetry_log
        with ExitStack() as begun:
            begun.enter_context(hold(log.with_name(f".{log.name}.lock"), recording_id))
            super().__init__(order)
            self._held_log = begun.pop_all()

    def finish(self) -> RunResult:
        """Ends it and returns what it came to; raises StorageFull or RecordingBusy."""
        with self._held_log:
            made = super().finish()
        if made.busy:
            raise made.busy[0]
        return made

    def abandon(self) -> None:
        """Ends it before it is done."""
        with self._held_log:
            super().abandon()
