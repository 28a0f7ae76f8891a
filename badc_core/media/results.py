"""What a stage of the media pipeline returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

INSTALL = "Run: pip install 'badc[media]'"


@dataclass(frozen=True)
class MediaOutput:
    """A file that a stage wrote, and what it is."""

    path: Path
    description: str


@dataclass(frozen=True)
class MediaResult:
    """A stage that did its work.

    Attributes:
        outputs: key -> file; every file exists.
        metadata: key -> number or text, for people.
        inputs: key -> file of the user that it looked for, whether it is there or not.
    """

    outputs: Mapping[str, MediaOutput]
    metadata: Mapping[str, str | int | float | bool]
    inputs: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A stage that cannot work here; no output of it is left.

    Attributes:
        reason: what is missing, for people, without a full stop.
    """

    reason: str


MediaEnd: TypeAlias = MediaResult | Skipped
