"""A run over manifests that keeps its recordings to itself while it lasts."""

from collections.abc import Iterable
from contextlib import ExitStack

from badc_core.inference.holding import hold, hold_recording
from badc_core.manifest_runs.manifest_run import ManifestRun
from badc_core.manifest_runs.run_order import RunMade, RunOrder


class HeldRun(ManifestRun):
    """The run of recordings that no other run is at work on, until this one ends.

    What is there of the recordings is looked up once they are held.

    Args:
        order: what is to be run.
        recording_ids: whose chunks the manifests have.
        is_own_log: whether no other run may write its telemetry log either.

    Raises:
        RecordingBusy: another run is at work on one. To wait for that could be to wait for a run
            that waits for this one.
        StorageFull, OutputUnwritable: there is no place for the locks, nor would be for results.
        ManifestMismatch, DatasetInvalid, ConfigInvalid, DetectorMissing: as for `ManifestRun`.
    """

    def __init__(
        self, order: RunOrder, recording_ids: Iterable[str], *, is_own_log: bool = False
    ) -> None:
        with ExitStack() as begun:
            for recording_id in recording_ids:
                begun.enter_context(hold_recording(order.output, recording_id))
                if is_own_log:
                    log = order.telemetry_log
                    begun.enter_context(hold(log.with_name(f".{log.name}.lock"), recording_id))
            super().__init__(order)
            self._held = begun.pop_all()

    def finish(self) -> RunMade:
        """Ends it, lets the recordings go, and returns what it came to; raises StorageFull."""
        with self._held:
            return super().finish()

    def abandon(self) -> None:
        """Ends it before it is done, and lets the recordings go."""
        with self._held:
            super().abandon()
