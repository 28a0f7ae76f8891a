"""The tables that a detector's settings may name; that of thresholds is read here.

Its content becomes part of the settings, so that a step on another machine gets it with its inputs.
The other files that settings name are read by the steps that need them.
"""

from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from badc_core.detector_settings import DetectorSettings
from badc_core.errors import ConfigInvalid, ContentMissing
from badc_core.label_tables import find_line, read_label_table
from badc_core.validation import explain_invalid

_RECOMMENDED = Path("artifacts", "reviews")
"""Where `badc review results` writes what it recommends, below the folder of `badc.toml`."""


def refuse_recommended(detector: DetectorSettings, folder: Path) -> None:
    """Returns if no setting names a table that changes without anybody deciding so.

    Args:
        detector: with absolute paths.
        folder: of `badc.toml`.

    Raises:
        ConfigInvalid: one does.
    """
    for name in ("thresholds_file", "calibration_file"):
        path = Path(getattr(detector, name))
        if (folder / _RECOMMENDED).resolve() in path.resolve().parents:
            what = f"detector.{name} may not be what badc review results writes, at any time anew"
            remedy = f'Use badc review apply, and {name} = "{path.name}"'
            raise ConfigInvalid(what, path, remedy)


def read_thresholds(detector: DetectorSettings) -> DetectorSettings:
    """Returns a detector's settings with the thresholds in their file; those that are there stay.

    Raises:
        ConfigInvalid: the file cannot be read, or has a threshold that cannot be.
        ContentMissing: it is annexed, and its content is not here.
    """
    if not detector.thresholds_file:
        return detector
    path = Path(detector.thresholds_file)
    table = read_label_table(path, "file of thresholds", ("threshold",))
    for label, (one,) in table.items():
        if not 0 <= one <= 1:
            what = f"line {find_line(path, label)}, threshold: must be between 0 and 1, not {one:g}"
            raise ConfigInvalid(what, path, "Correct the cell")
    own = {name.strip().casefold() for name in detector.thresholds}
    added = {label: one for label, (one,) in table.items() if label.casefold() not in own}
    content = {**detector.model_dump(), "thresholds": {**added, **detector.thresholds}}
    try:
        return DetectorSettings.model_validate(content)
    except ValidationError as error:
        raise ConfigInvalid(explain_invalid(error), path, "Correct the table") from error


def place_of_threshold(detector: DetectorSettings, label: str) -> str:
    """Returns where a label's threshold is given, as errors call it."""
    path = Path(detector.thresholds_file)
    with suppress(ConfigInvalid, ContentMissing):
        line = find_line(path, label) if detector.thresholds_file else 0
        return f"{path}: line {line}" if line else "detector.thresholds"
    return "detector.thresholds"
