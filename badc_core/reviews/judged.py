"""A detection that somebody judged: all verdicts about it together.

Verdicts are read in `verdict_files.py` and brought together in `verdicts.py`.
"""

from dataclasses import dataclass

CORRECT, INCORRECT, UNCERTAIN = "correct", "incorrect", "uncertain"
VERDICTS = (CORRECT, INCORRECT, UNCERTAIN)

DISPUTED = "disputed"
"""What all verdicts together say where as many people say right as wrong."""


@dataclass(frozen=True)
class Judged:
    """A detection, and what people say of it.

    Attributes:
        score: the detector's, 0 to 1.
        weight: how many detections it represents, at first those that it was drawn for; None: none.
        verdict: correct, incorrect, uncertain, or disputed.
        corrected_label: what it is instead, as the people say who know; empty where nobody does.
        reviewers: how many people judged it.
        runner, model_version: the detector.
        is_kept: whether today's results have it; a threshold may have left it out since.
    """

    detection_id: str
    recording_id: str
    label: str
    start_ms: int
    end_ms: int
    score: float
    weight: float | None
    verdict: str
    corrected_label: str = ""
    reviewers: int = 1
    runner: str = ""
    model_version: str = ""
    is_kept: bool = True

    @property
    def is_decided(self) -> bool:
        """Whether it counts as right or as wrong."""
        return self.verdict in (CORRECT, INCORRECT)

    @property
    def is_correct(self) -> bool:
        """Whether it counts as right."""
        return self.verdict == CORRECT
