"""No detector: reads the sound and finds nothing. For trying out a pipeline without a model.

Nobody gets it without asking for it. Whatever it touches is marked: runner, model version and the
status of every chunk are `stub`, and nothing counts as analysed.
"""

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detection, DetectorIdentity, Label, WindowBatch
from badc_core.detectors.windows import WindowDetector, WindowGrid, require_partial_overlap

NAME = "stub"
"""Of the detector, its version and the status of its chunks."""

USES_GPU = False
USES_PLACE = False

_WINDOW_S = 3.0


class Stub(WindowDetector):
    """Finds nothing in any window."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Returns at once; raises ConfigInvalid if windows would overlap entirely."""
        super().__init__(identify(settings), WindowGrid(_WINDOW_S, settings.window_overlap_s))

    def detect(self, batch: WindowBatch) -> list[list[Detection]]:
        """Returns nothing for each window."""
        return [[] for _ in batch.starts]


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the stub's identity; raises ConfigInvalid."""
    require_partial_overlap(settings.window_overlap_s, _WINDOW_S, NAME)
    return DetectorIdentity(NAME, NAME, None, "", _WINDOW_S)


def labels(settings: DetectorSettings) -> tuple[Label, ...]:  # noqa: ARG001
    """Returns no label: it knows none."""
    return ()


load = Stub
"""What the entry point calls."""
