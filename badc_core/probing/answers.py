"""Answers of earlier probes, kept beside their logs in `answers.json`, since measuring is slow.

An answer holds for the same detector, device and kind of sound.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from badc_core.atomic import write_text

ANSWERS_FILE = "answers.json"
_SAME_LIMIT = 0.05
"""How much the limit may differ: free memory is never twice the same."""


class Answer(BaseModel):
    """The longest chunk that was found.

    Attributes:
        question: what the answer depends on: detector, device, kind of sound, `max_s`.
        limit_mib: the memory there was.
        tolerance_s: how far the answer may lie below the truth.
        longest_s: length of the chunk.
        peak_mib: what it needed.
    """

    question: dict[str, Any]
    limit_mib: float
    tolerance_s: float
    longest_s: float
    peak_mib: float

    def holds(self, limit_mib: float, tolerance_s: float) -> bool:
        """Returns whether it holds for another limit and tolerance."""
        is_same_limit = abs(limit_mib - self.limit_mib) <= _SAME_LIMIT * self.limit_mib
        is_longest = self.longest_s == self.question["max_s"]
        fits = self.peak_mib <= limit_mib and (is_same_limit or is_longest)
        return fits and self.tolerance_s <= tolerance_s


class _Answers(BaseModel):
    """The file; version 2 counts the memory of programs that a detector runs, 1 did not."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    version: Literal[2] = Field(2, alias="schema")
    answers: tuple[Answer, ...] = ()


def find_answer(log: Path, question: dict[str, Any]) -> Answer | None:
    """Returns the answer to a question that is kept beside a log, if there is one."""
    answers = _read(log.with_name(ANSWERS_FILE))
    return next((one for one in answers if one.question == question), None)


def save_answer(log: Path, answer: Answer) -> None:
    """Keeps an answer beside a log, in place of an earlier one to the same question.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    path = log.with_name(ANSWERS_FILE)
    others = [one for one in _read(path) if one.question != answer.question]
    write_text(path, _Answers(answers=(*others, answer)).model_dump_json(indent=1) + "\n")


def _read(path: Path) -> tuple[Answer, ...]:
    """Returns all answers; none from a torn file or another version, which is then replaced."""
    try:
        return _Answers.model_validate_json(path.read_bytes()).answers
    except (FileNotFoundError, ValidationError):
        return ()
