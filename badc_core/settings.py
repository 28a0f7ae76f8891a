"""Every setting, its default and its limits; those of detectors are in `detector_settings.py`.

A dataset's settings are read from `badc.toml` at its root; a run may override single values.
Unknown keys are errors. Nothing here reads the environment.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator

from badc_core.detector_files import read_thresholds, refuse_recommended
from badc_core.detector_settings import DetectorSettings
from badc_core.errors import ConfigInvalid
from badc_core.export_settings import ExportSettings
from badc_core.file_names import PathInside
from badc_core.report_settings import ReportSettings
from badc_core.settings_section import Section
from badc_core.slurm_settings import SlurmSettings
from badc_core.toml_files import read_toml
from badc_core.validation import explain_invalid
from badc_core.watch_settings import NotifySettings, WebInterfaceSettings

SETTINGS_FILE = "badc.toml"

_LIBSNDFILE_ENDINGS = (
    "wav", "flac", "mp3", "ogg", "aif", "aiff", "wave", "bwf", "rf64", "w64", "aifc", "au", "caf",
    "oga", "opus",
)  # fmt: skip
FFMPEG_ENDINGS = (
    "m4a", "mp4", "m4b", "mov", "3gp", "aac", "wma", "ac3", "amr", "mka", "webm", "wv", "ape",
    "tta",
)  # fmt: skip
"""Endings of recordings that only ffmpeg reads."""

ChannelSetting: TypeAlias = Literal["mean", "first", "loudest", "each"] | int
"""What is analysed of recordings with several channels; a number counts them from 1."""
Privacy: TypeAlias = Literal["off", "flag", "mute"]
_CHANNEL_WORDS = ("mean", "first", "loudest", "each")
_SHORTEST_STEP_S = 0.01
_FIXED_OFFSET = re.compile(r"[+-](0[0-9]|1[0-4]):?[0-5][0-9]")


class RecordingSettings(Section):
    """Which files are recordings, and what their names and places say."""

    roots: tuple[PathInside, ...] = Field(
        ("audio",), description="Folders inside the dataset that hold recordings."
    )
    extensions: tuple[str, ...] = Field(
        (*_LIBSNDFILE_ENDINGS, *FFMPEG_ENDINGS),
        description="File name endings that are audio, in any case; those after `opus` only where "
        "there is ffmpeg.",
    )
    min_age_s: float = Field(
        30.0, ge=0, description="The sensor leaves files alone that changed more recently."
    )
    templates: tuple[PathInside, ...] = Field(
        (
            "{study_area}/ARU_data/SM/{location}/{A|B}/Data/*",
            "{study_area}/{subdir}/{location}/*",
            "{study_area}/{location}/*",
            "{location}/*",
        ),
        description="Path patterns below a root, first match wins.",
    )
    timezone: str | None = Field(
        None, description="Recorder clock: an IANA name or a fixed offset such as -07:00."
    )
    deployments: str = Field(
        "deployments.csv", description="Table of stations that overrules everything else."
    )
    fingerprint: Literal["sampled", "full"] = Field(
        "sampled", description="How a changed file is noticed: size, head and tail, or every byte."
    )
    dataset_name: str = Field(
        "",
        description="What results call the dataset, in every clone of it; empty: as its folder.",
    )
    accept_truncated: bool = Field(
        False,
        description="Analyse what is left of a recording that was cut off, such as by a flat "
        "battery, instead of counting it as failed.",
    )
    channel: ChannelSetting = Field(
        "mean",
        description="What is analysed of recordings with several channels: `mean`, `first`, "
        "`loudest`, a number from 1, or `each`: every channel on its own, of which the best score "
        "of a window counts; that takes as many times as long.",
    )

    @field_validator("channel", mode="before")
    @classmethod
    def _channel_can_be_one(cls, value: Any) -> Any:
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not is_number and value not in _CHANNEL_WORDS:
            words = ", ".join(f'"{one}"' for one in _CHANNEL_WORDS)
            raise ValueError(f"must be {words} or a number from 1, not {value!r}")
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, value: str | None) -> str | None:
        return value if value is None else check_timezone(value)


class ChunkSettings(Section):
    """How a recording is cut."""

    duration_s: float = Field(
        60.0, gt=0, description="Length of a chunk; HawkEars hears recordings whole."
    )
    overlap_s: float = Field(0.0, ge=0, description="How much a chunk repeats of the one before.")
    min_chunk_s: float = Field(
        3.0, ge=0, description="A shorter tail is merged into the chunk before."
    )

    @model_validator(mode="after")
    def _overlap_below_duration(self) -> Self:
        if self.overlap_s >= self.duration_s:
            raise ValueError("overlap_s must be smaller than duration_s")
        # Chunks are named by their milliseconds: a smaller step would give two the same name.
        if self.duration_s - self.overlap_s < _SHORTEST_STEP_S:
            raise ValueError(f"chunks must begin at least {_SHORTEST_STEP_S:g} s apart")
        return self


class InferenceSettings(Section):
    """How the work is spread and what happens when it fails; never changes a detection."""

    cpu_workers: int = Field(
        0,
        ge=0,
        description="Worker processes on the CPU; 0 means none beside GPUs, and one per "
        "usable core where no GPU is used.",
    )
    workers_per_gpu: int = Field(1, ge=1, description="Worker processes on each GPU.")
    max_gpus: int = Field(
        0, ge=0, description="How many GPUs are used, if that many are idle; 0 means all."
    )
    vram_mib: int = Field(
        0, ge=0, description="A GPU is used only if this much of its memory is free; 0: any amount."
    )
    max_retries: int = Field(2, ge=0, description="How often a failed chunk is tried again.")
    backoff_s: float = Field(
        1.0, ge=0, description="Wait before the first retry; each further one waits twice as long."
    )
    timeout_s: float = Field(
        60.0, gt=0, description="A chunk may take this long, or timeout_per_audio_s if longer."
    )
    timeout_per_audio_s: float = Field(
        10.0, ge=0, description="Seconds a chunk may take for each second of its sound."
    )
    load_timeout_s: float = Field(300.0, gt=0, description="A worker may take this long to load.")
    max_failed_fraction: float = Field(
        0.0, ge=0, le=1, description="A step fails if more of its chunks than this failed."
    )
    fail_fast: bool = Field(
        False,
        description="Stop at the first chunk or recording that failed for good; otherwise "
        "everything else is still tried, and what failed is reported at the end.",
    )
    retry_budget: float = Field(
        0.0,
        ge=0,
        le=1,
        description="The check `retry_budget` warns if more of a step's chunks than this failed "
        "or were tried again.",
    )
    chunk_json: bool = Field(
        False, description="Also write a JSON file for every chunk, as the original BADC did."
    )
    scratch: str = Field(
        "",
        description="Folder for chunk files of detectors that need files; empty for the system's.",
    )


class WorkSettings(Section):
    """Where work in progress is written down; never changes a result."""

    folder: str = Field(
        ".badc",
        description="Folder of locks and journals of what is in work, in the dataset or anywhere "
        "else; on a network file system without locks a folder on a local disk. If you change it "
        "between runs, move its contents too: what an interrupted run left is known only there.",
    )


class DataladSettings(Section):
    """How results are kept where the dataset is one of DataLad, or of git-annex alone."""

    record: Literal["auto", "off", "require"] = Field(
        "auto",
        description="Whether every result is committed with a record by which `datalad rerun` "
        "makes it again: `auto` where git-annex keeps the dataset, `off` never, `require` stops "
        "where that is impossible.",
    )
    drop_after: bool = Field(
        False,
        description="Drop recordings that were fetched for a run when it is done with them, as "
        "far as `numcopies` allows, so that an archive passes through a smaller disk.",
    )


class SpeechSettings(Section):
    """What is done about people who speak in recordings; never changes a detection."""

    privacy: Privacy = Field(
        "off",
        description="`flag` says in tables and pages where people speak; `mute` also silences "
        "that in pages and chunk files.",
    )

    @property
    def is_searched_for(self) -> bool:
        """Whether anybody wants to know where people speak."""
        return self.privacy != "off"


class Settings(Section):
    """All settings of a dataset."""

    recordings: RecordingSettings = RecordingSettings()
    chunks: ChunkSettings = ChunkSettings()
    detector: DetectorSettings = DetectorSettings()
    inference: InferenceSettings = InferenceSettings()
    report: ReportSettings = ReportSettings()
    export: ExportSettings = ExportSettings()
    speech: SpeechSettings = SpeechSettings()
    work: WorkSettings = WorkSettings()
    datalad: DataladSettings = DataladSettings()
    slurm: SlurmSettings = SlurmSettings()
    notify: NotifySettings = NotifySettings()
    web_interface: WebInterfaceSettings = WebInterfaceSettings()


def load_settings(path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Returns the settings in a TOML file, with overrides applied; defaults without a file.

    Paths of a model of the user's own are relative to the file's folder, and made absolute.

    Args:
        path: a `badc.toml`.
        overrides: section -> key -> value, in sections inside sections too.

    Raises:
        ConfigInvalid: unreadable, not TOML, an unknown key, or a value outside its limits.
    """
    try:
        content = read_toml(path)
    except FileNotFoundError:
        content = {}
    merged = _merge_sections(content, overrides or {}, Settings)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        what = explain_invalid(error, Settings, "setting")
        raise ConfigInvalid(what, path, "Correct badc.toml or the option") from error
    detector = settings.detector.anchored(path.parent.absolute())
    refuse_recommended(detector, path.parent.absolute())
    return settings.model_copy(update={"detector": read_thresholds(detector)})


def _merge_sections(
    base: Mapping[str, Any], over: Mapping[str, Any], section: type[Section]
) -> dict[str, Any]:
    """Returns a section with overrides; they replace whole values, such as all thresholds."""
    merged = {**base, **over}
    for key, setting in section.model_fields.items():
        kind, below, value = setting.annotation, base.get(key), over.get(key)
        if not (isinstance(below, Mapping) and isinstance(value, Mapping)):
            continue
        if isinstance(kind, type) and issubclass(kind, Section):
            merged[key] = _merge_sections(below, value, kind)
    return merged


def is_fixed_offset(text: str) -> bool:
    """Returns whether a time zone is an offset such as `+05:30` or `-0700`, up to 14:59."""
    return _FIXED_OFFSET.fullmatch(text) is not None


def check_timezone(name: str) -> str:
    """Returns a time zone's name, if it is an offset or an IANA name; else raises ValueError."""
    if not is_fixed_offset(name):
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}") from error
    return name
