"""Every setting that decides what a detector finds; `settings.py` has the others.

Nothing here reads a file or the environment.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from badc_core.accounts import expand_home
from badc_core.settings_section import Section

OWN_MODELS = frozenset({"onnx", "python"})
"""The detectors that run a model of the user's own, described in `detector.model`."""

_SCORE_FLOOR = 0.1
_SELECTION = ("min_score", "thresholds", "include", "exclude", "label_length")
_RANGE = ("range", "range_threshold", "range_week")
"""In fingerprints only where they are not the defaults: results of BADC before them still count."""
DETECTOR_FILES = ("species_list", "thresholds_file", "calibration_file")
"""Paths: what is in these files decides, which `ranges/` and `detections/` describe."""

_LAST_WEEK = 48
_OWN_MIN_SCORES = {"hawkears": 0.7, "hawkears1": 0.8}


class HawkEarsSettings(Section):
    """What only HawkEars understands."""

    models: int = Field(
        3, ge=1, le=6, description="Networks in HawkEars 2's ensemble, fewest first in speed."
    )
    low_band: bool = Field(
        False, description="HawkEars 2's extra classifier for grouse and other low sounds."
    )
    region: str = Field(
        "", description="eBird region such as CA-AB, where a recording's place is not known."
    )
    use_occurrence: bool = Field(
        True, description="Mark species that are rare at a recording's place and date."
    )
    block_size: int = Field(
        200,
        ge=1,
        description="Spectrograms HawkEars 2 gives a network at once; less needs less memory.",
    )
    arguments: tuple[str, ...] = Field(
        (), description="Passed to HawkEars 1's analyze.py as they are."
    )


class OwnModelSettings(Section):
    """What only `onnx` and `python` understand; relative paths begin at `badc.toml`'s folder."""

    file: str = Field(
        "",
        description="The model: for `onnx` an ONNX file; for `python` the file of weights, if any, "
        "which is only hashed: the function itself must read it.",
    )
    labels: str = Field(
        "", description="File of the classes' names, in the order of the model's scores."
    )
    sample_rate_hz: int | None = Field(
        None, gt=0, description="Rate of the sound the model wants; must be given."
    )
    window_s: float | None = Field(
        None,
        ge=0.01,
        le=600,
        description="Length of sound the model sees at once; must be given.",
    )
    output: str = Field(
        "",
        description="Which output of an ONNX model holds the scores; empty for the only one, or "
        "the only one with a value for each label.",
    )
    activation: Literal["none", "sigmoid", "softmax"] = Field(
        "none", description="What turns that output into scores from 0 to 1."
    )
    function: str = Field(
        "",
        description="What the detector `python` calls: `package.module:name` or "
        "`path/to/file.py:name`.",
    )
    uses_gpu: bool = Field(
        False, description="Whether that function runs on a GPU where there is one."
    )
    batch_windows: int = Field(
        4,
        ge=1,
        le=4096,
        description="How many windows the model is given at once; on a GPU more is faster.",
    )
    licence: str = Field("", description="The model's licence, where results must name it.")

    @property
    def function_place(self) -> tuple[str, str]:
        """The module or file of `function`, and the name in it."""
        place, _, name = self.function.rpartition(":")
        return place, name

    def anchored(self, folder: Path) -> Self:
        """Returns the same settings with paths that begin at a folder, good in every other."""
        place, name = self.function_place
        is_file = place.endswith(".py")
        return self.model_copy(
            update={
                "file": _below(folder, self.file),
                "labels": _below(folder, self.labels),
                "function": f"{_below(folder, place)}:{name}" if is_file else self.function,
            }
        )

    def fingerprint_inputs(self) -> dict[str, Any]:
        """Returns what decides what the model finds, beside the content of its files."""
        return self.model_dump(include={"sample_rate_hz", "window_s", "output", "activation"})


class DetectorSettings(Section):
    """Which detector, and everything that changes what it finds."""

    name: str = Field("birdnet", description="A registered detector.")
    min_score: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Weaker detections are not kept; unless it is given, 0.7 for "
        "hawkears and 0.8 for hawkears1, as those have it themselves.",
    )
    score_floor: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The model's results are kept down to this score, so that a change of "
        "min_score or thresholds above it runs no model; unless it is given, 0.1, and for "
        "HawkEars min_score, on which its other labels depend.",
    )
    sensitivity: float = Field(1.0, ge=0.5, le=1.5, description="BirdNET's logit shift.")
    window_overlap_s: float = Field(0.0, ge=0, description="How much successive windows share.")
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        {}, description="Label, code or scientific name -> its own minimum, in place of min_score."
    )
    thresholds_file: str = Field(
        "",
        description="CSV file with the columns `label` and `threshold`, which are added to "
        "`thresholds`; relative paths begin at `badc.toml`'s folder.",
    )
    calibration_file: str = Field(
        "",
        description="CSV file with the columns `label`, `intercept` and `slope`: what makes a "
        "probability of a score, for the column `calibrated_p`.",
    )
    include: tuple[str, ...] = Field(
        (), description="Only these labels, codes or scientific names; empty means all."
    )
    exclude: tuple[str, ...] = Field(
        (), description="Never these labels, codes or scientific names."
    )
    range: Literal["off", "mark", "filter"] = Field(
        "mark",
        description="Species that are not expected at a recording's place and date: `mark` says "
        "so, `filter` leaves them out, `off` asks nothing.",
    )
    range_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A species is expected from this occurrence on; unless it is given, 0.03 with "
        "BirdNET's range model, and HawkEars' own verdict with its data.",
    )
    range_week: Literal["recording", "year"] | int = Field(
        "recording",
        description="Time of year that is asked about: the week of the `recording`, the whole "
        "`year`, or a week from 1 to 48, four to each month.",
    )
    species_list: str = Field(
        "",
        description="File of the species that can be there, in place of what a range model says; "
        "relative paths begin at `badc.toml`'s folder.",
    )
    label_length: Literal["fixed", "variable"] = Field(
        "fixed",
        description="`fixed`: labels as the detector gives them; `variable`: those of one label "
        "that touch are joined into one.",
    )
    command: str = Field(
        "", description="The program of the detector `command`, with its own arguments."
    )
    runtime: str = Field(
        "",
        description="Folder a detector with an environment of its own runs in; empty for the "
        "one it was installed into.",
    )
    hawkears: HawkEarsSettings = Field(
        HawkEarsSettings(), description="What only HawkEars understands."
    )
    model: OwnModelSettings = Field(
        OwnModelSettings(), description="What only `onnx` and `python` understand."
    )

    @field_validator("range_week", mode="before")
    @classmethod
    def _week_is_in_the_year(cls, value: Any) -> Any:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        is_week = is_number and 1 <= value <= _LAST_WEEK
        if not is_week and value not in ("recording", "year"):
            raise ValueError(f'must be "recording", "year" or a week from 1 to 48, not {value!r}')
        return value

    @model_validator(mode="before")
    @classmethod
    def _own_min_score(cls, given: Any) -> Any:
        """Puts a detector's own minimum score where none is given."""
        name = given.get("name") if isinstance(given, dict) else None
        own = _OWN_MIN_SCORES.get(str(name))
        return given if own is None else {"min_score": own, **given}

    @model_validator(mode="after")
    def _thresholds_leave_labels_alone(self) -> Self:
        # HawkEars' labels grow and merge where it looks for weaker ones.
        if self.name.startswith("hawkears") and self.lowest_score < self.min_score:
            raise ValueError(
                f"thresholds below min_score ({self.min_score:g}) would change {self.name}'s other "
                "labels: lower min_score instead"
            )
        return self

    @property
    def lowest_score(self) -> float:
        """The weakest score that any label may be kept with."""
        return min(self.min_score, *self.thresholds.values(), 1.0)

    @property
    def floor(self) -> float:
        """The weakest score that the model's results are kept with."""
        if self.score_floor is not None:
            return min(self.score_floor, self.lowest_score)
        is_hawkears = self.name.startswith("hawkears")
        return self.lowest_score if is_hawkears else min(_SCORE_FLOOR, self.lowest_score)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files beside `badc.toml` that are given."""
        return tuple(filter(None, (getattr(self, name) for name in DETECTOR_FILES)))

    def anchored(self, folder: Path) -> Self:
        """Returns the same settings with absolute paths; relative ones begin at a folder."""
        files = {name: _below(folder, getattr(self, name)) for name in DETECTOR_FILES}
        return self.model_copy(update={"model": self.model.anchored(folder), **files})

    def fingerprint_inputs(self) -> dict[str, Any]:
        """Returns the settings that decide what this detector finds in a chunk, on any machine."""
        left_out = {"runtime", "label_length", "model", "score_floor", *_RANGE, *DETECTOR_FILES}
        content = {**self.model_dump(exclude=left_out), **self._range_inputs()}
        if not self.name.startswith("hawkears"):
            del content["hawkears"]
        if self.name != "command":
            del content["command"]
        if self.name in OWN_MODELS:
            content["model"] = self.model.fingerprint_inputs()
        # HawkEars' labels grow and merge where it looks for weaker ones.
        if self.name.startswith("hawkears") and self.floor != self.lowest_score:
            content["floor"] = self.floor
        return content

    def model_inputs(self) -> dict[str, Any]:
        """Returns the settings that decide what the model itself gives, down to any score."""
        content = self.fingerprint_inputs()
        for name in (*_SELECTION, *_RANGE):
            content.pop(name, None)
        # Its labels grow and merge where it looks for weaker ones.
        floor = {"floor": self.floor} if self.name.startswith("hawkears") else {}
        return {**content, **floor}

    def stored_inputs(self) -> dict[str, Any]:
        """Returns the same to be written into every file of detections, with names of files."""
        names = {one: Path(getattr(self, one)).name for one in DETECTOR_FILES if getattr(self, one)}
        # Thousands of them, in a hundred thousand files.
        table: dict[str, Any] = {"thresholds": {}} if self.thresholds_file else {}
        return {**self.fingerprint_inputs(), **table, **names}

    def selection_inputs(self) -> dict[str, Any]:
        """Returns the settings that decide what is kept of what the model gave, and how."""
        return {**self.model_dump(include=set(_SELECTION)), **self._range_inputs()}

    def _range_inputs(self) -> dict[str, Any]:
        """Returns the settings about what is expected that are not the defaults."""
        fields = type(self).model_fields
        given = {name: getattr(self, name) for name in _RANGE}
        return {name: one for name, one in given.items() if one != fields[name].default}


def _below(folder: Path, path: str) -> str:
    """Returns a path that may begin at a folder as one that does not; none stays none."""
    return str(folder / expand_home(path)) if path else ""
