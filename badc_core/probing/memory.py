"""Answers of earlier probes, kept beside their logs: `answers.json`.

Measuring may take minutes, and the answer depends only on detector, device and kind of sound.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from badc_core.atomic import write_text
from badc_core.audio.reader import AudioFile
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import DetectorIdentity
from badc_core.probing.memory_limit import MemoryLimit

ANSWERS_FILE = "answers.json"
_SCHEMA_VERSION = 2
"""2: memory of programs that a detector runs counts too; 1 left it out."""
_SAME_LIMIT = 0.05
"""How much of a change of the limit does not matter: free memory is never twice the same."""


@dataclass(frozen=True)
class Question:
    """What an answer depends on.

    Attributes:
        detector, version, model_sha256: which detector.
        settings: of it, as JSON.
        window_s: how much it sees at once.
        device: a GPU's UUID, or `cpu`.
        sample_rate_hz, n_channels: of the sound.
        max_s: longest length of interest.
    """

    detector: str
    version: str
    model_sha256: str | None
    settings: str
    window_s: float
    device: str
    sample_rate_hz: int
    n_channels: int
    max_s: float

    @classmethod
    def of(
        cls,
        identity: DetectorIdentity,
        settings: DetectorSettings,
        limit: MemoryLimit,
        audio: AudioFile,
        max_s: float,
    ) -> Self:
        """Returns the question of a detector on a device about files like this one."""
        return cls(
            detector=identity.name,
            version=identity.version,
            model_sha256=identity.model_sha256,
            settings=settings.model_dump_json(),
            window_s=identity.window_s,
            device=limit.device,
            sample_rate_hz=audio.sample_rate_hz,
            n_channels=audio.n_channels,
            max_s=max_s,
        )


def recall_answer(
    log: Path, question: Question, limit: MemoryLimit, tolerance_s: float
) -> float | None:
    """Returns the longest length an earlier probe found; None if it has to be measured.

    Args:
        log: of this probe; the answers lie beside it.
        question: must be the same in everything.
        limit: must be the same but for a little, or so large that it makes no difference.
        tolerance_s: must be no less than it was.
    """
    for answer in _read(log.with_name(ANSWERS_FILE)):
        if answer["question"] != asdict(question) or answer["tolerance_s"] > tolerance_s:
            continue
        is_same = abs(limit.mib - answer["limit_mib"]) <= _SAME_LIMIT * answer["limit_mib"]
        is_longest = answer["longest_s"] == question.max_s
        if answer["peak_mib"] <= limit.mib and (is_same or is_longest):
            return float(answer["longest_s"])
    return None


def remember_answer(
    log: Path,
    question: Question,
    limit: MemoryLimit,
    tolerance_s: float,
    found: tuple[float, float],
) -> None:
    """Keeps an answer, in place of an earlier one to the same question.

    Args:
        log: of this probe; the answers lie beside it.
        question: what it is the answer to.
        limit: under which it was found.
        tolerance_s: how far it may lie below the truth.
        found: the longest length in seconds, and the memory in MiB that it needed.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    path = log.with_name(ANSWERS_FILE)
    others = [one for one in _read(path) if one["question"] != asdict(question)]
    answer = {
        "question": asdict(question),
        "limit_mib": limit.mib,
        "tolerance_s": tolerance_s,
        "longest_s": found[0],
        "peak_mib": found[1],
    }
    content = {"schema": _SCHEMA_VERSION, "answers": [*others, answer]}
    write_text(path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    """Returns all answers; none from a file of another version, which is then replaced."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    is_ours = isinstance(content, dict) and content.get("schema") == _SCHEMA_VERSION
    return list(content["answers"]) if is_ours else []
