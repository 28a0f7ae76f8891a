"""Hashes of settings, model and code, by which results are recognised.

`model_hash` is about what the model gives, and part of a chunk's key in a journal. The others are
about what is kept of that.
"""

from badc_core.detections.calibrate import describe_calibration
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.hashing import digest_json
from badc_core.ranges.marking import describe_marks
from badc_core.stages.stage import STAGES

_CODE = STAGES["raw_detections"].code_version


def model_hash(settings: DetectorSettings, detector: DetectorIdentity) -> str:
    """Returns the hash of what decides what a model gives for a sound."""
    return digest_json(["model", _CODE, settings.model_inputs(), detector.model_inputs()])


def file_hash(settings: DetectorSettings, detector: DetectorIdentity) -> str:
    """Returns the hash of what decides which detections of a chunk are kept."""
    companions = (*detector.companions, *describe_marks(settings))
    inputs = {**detector.model_inputs(), "companions": companions}
    return digest_json([_CODE, settings.fingerprint_inputs(), inputs])


def detections_hash(settings: DetectorSettings, detector: DetectorIdentity) -> str:
    """Returns the hash of what decides the detections of a whole recording."""
    own = file_hash(settings, detector)
    return digest_json([own, settings.label_length, *describe_calibration(settings)])
