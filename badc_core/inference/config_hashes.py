"""Hashes of settings, model and code, by which results are recognised.

`model_hash` is about what the model gives, and part of a chunk's key in a journal. The others are
about what is kept of that; their formulas are older, so that files of the code before count.
"""

from typing import Any

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


def dataset_file_hash(settings: DetectorSettings, detector: DetectorIdentity) -> str:
    """Returns the hash of what decides which detections of a dataset's chunk are kept."""
    return digest_json(
        {
            "stage": "detections",
            "code": _CODE,
            "settings": settings.fingerprint_inputs(),
            "detector": _detector_inputs(settings, detector),
        }
    )


def file_hash(settings: DetectorSettings, detector: DetectorIdentity) -> str:
    """Returns the same for a chunk outside a dataset."""
    return digest_json([_CODE, settings.fingerprint_inputs(), _detector_inputs(settings, detector)])


def detections_hash(settings: DetectorSettings, detector: DetectorIdentity) -> str:
    """Returns the hash of what decides the detections of a whole recording."""
    own = dataset_file_hash(settings, detector)
    length = () if settings.label_length == "fixed" else (settings.label_length,)
    more = (*length, *describe_calibration(settings))
    return digest_json([own, *more]) if more else own


def _detector_inputs(settings: DetectorSettings, detector: DetectorIdentity) -> dict[str, Any]:
    """Returns what of a detector, and of what marks its detections, decides what is kept."""
    companions = (*detector.companions, *describe_marks(settings))
    return {**detector.model_inputs(), "companions": companions}
