"""From a detector's score to the probability that the detection is right: logistic regression.

P(right) = 1 / (1 + exp(-(intercept + slope * logit(score)))), a curve for each label. It is fitted
with Firth's penalty, which keeps it finite where a score separates right and wrong completely, as
it often does in a hundred verdicts.

Source: D. Firth (1993), Bias reduction of maximum likelihood estimates; G. Heinze and M. Schemper
(2002), A solution to the problem of separation in logistic regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from badc_core.reviews.judged import Judged

LEAST_DECIDED = 20
"""With fewer verdicts no curve is fitted."""

_FOLDS = 5
_MOST_STEPS = 100
_SMALLEST_STEP = 1e-9
_LARGEST_STEP = 5.0
_CLIPPED = 1e-6
_LEAST_SPREAD = 1e-3
"""Standard deviation of logits; with less, slopes are in the hundreds or the fit is singular."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """How well curves predict verdicts in recordings that they were not fitted to.

    Attributes:
        brier: mean squared error of the probabilities; less is better.
        base_brier: the same if every detection gets the share of right ones instead.
        log_loss: mean of -log of the probability of what was said.
        base_log_loss: the same of that share.
    """

    brier: float
    base_brier: float
    log_loss: float
    base_log_loss: float

    @property
    def is_better(self) -> bool:
        """Whether the score says more than the share of right detections alone."""
        return self.brier < self.base_brier


@dataclass(frozen=True)
class Calibration:
    """A label's curve, or why there is none.

    Attributes:
        n: verdicts it was fitted to.
        intercept, slope: of the curve; None without one.
        held_out: how well it predicts; None where that could not be tried.
        reason: why it should not be used; empty where it may be.
    """

    label: str
    n: int
    intercept: float | None = None
    slope: float | None = None
    held_out: HeldOut | None = None
    reason: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether probabilities may be taken from it."""
        return not self.reason


def logit(scores: _Floats) -> _Floats:
    """Returns log(s / (1 - s)); scores of 0 and 1 count as a millionth less extreme."""
    clipped = np.clip(scores, _CLIPPED, 1 - _CLIPPED)
    odds: _Floats = np.log(clipped / (1 - clipped))
    return odds


def probability(intercept: float, slope: float, scores: _Floats) -> _Floats:
    """Returns the probability of being right for each score."""
    return _sigmoid(intercept + slope * logit(scores))


def fit_logistic(x: _Floats, y: _Floats) -> tuple[float, float]:
    """Returns intercept and slope that fit best, with Firth's penalty.

    Args:
        x: shape [n].
        y: 1 for right, 0 for wrong, shape [n].
    """
    design = np.column_stack([np.ones_like(x), x])
    at = np.zeros(2)
    best = _penalised(design, y, at)
    for _ in range(_MOST_STEPS):
        step = _firth_step(design, y, at)
        for _ in range(_MOST_STEPS):
            value = _penalised(design, y, at + step)
            if value >= best or np.abs(step).max() < _SMALLEST_STEP:
                break
            step /= 2
        at, best = at + step, value
        if np.abs(step).max() < _SMALLEST_STEP:
            break
    return float(at[0]), float(at[1])


def calibrate(label: str, judged: Sequence[Judged]) -> Calibration:
    """Returns the curve of a label.

    Args:
        label: whose.
        judged: its detections; those that are neither right nor wrong are left out.
    """
    decided = [one for one in judged if one.is_decided]
    n, right = len(decided), sum(one.is_correct for one in decided)
    if n < LEAST_DECIDED:
        return Calibration(label, n, reason=f"fewer than {LEAST_DECIDED} right or wrong")
    if right in (0, n):
        return Calibration(label, n, reason=f"all are {'right' if right else 'wrong'}")
    scores = np.array([one.score for one in decided])
    y = np.array([one.is_correct for one in decided], dtype=float)
    if not _tells_apart(logit(scores)):
        return Calibration(label, n, reason="all have nearly the same score")
    intercept, slope = fit_logistic(logit(scores), y)
    held_out = check_held_out(scores, y, [one.recording_id for one in decided])
    reason = ""
    if slope <= 0:
        reason = "higher scores are not more often right"
    elif held_out is None:
        reason = "all are from one recording, so it cannot be checked"
    elif not held_out.is_better:
        reason = "in other recordings it predicts no better than the share of right ones"
    return Calibration(label, n, intercept, slope, held_out, reason)


def check_held_out(scores: _Floats, y: _Floats, recordings: Sequence[str]) -> HeldOut | None:
    """Returns how curves predict what they were not fitted to, recordings being kept together.

    Clips of one recording have the same birds and the same noise, so a curve that has seen some of
    them predicts the others better than it will predict a new recording.

    Args:
        scores: shape [n].
        y: 1 for right, 0 for wrong.
        recordings: of each.

    Returns:
        None if all are of one recording.
    """
    names = sorted(set(recordings))
    if len(names) == 1:
        return None
    fold_of = {name: number % _FOLDS for number, name in enumerate(names)}
    folds = np.array([fold_of[one] for one in recordings])
    predicted, base = np.empty_like(y), np.empty_like(y)
    for fold in set(folds.tolist()):
        left_out = folds == fold
        rest = y[~left_out]
        # As one more right and one more wrong would have it, so that no share is 0 or 1.
        base[left_out] = (rest.sum() + 1) / (len(rest) + 2)
        x = logit(scores[~left_out])
        if len(set(rest.tolist())) == 1 or not _tells_apart(x):
            predicted[left_out] = base[left_out]
            continue
        intercept, slope = fit_logistic(x, rest)
        predicted[left_out] = probability(intercept, slope, scores[left_out])
    return HeldOut(
        _brier(predicted, y), _brier(base, y), _log_loss(predicted, y), _log_loss(base, y)
    )


def _tells_apart(x: _Floats) -> bool:
    """Whether a curve can be fitted to these scores; else it would be singular, or nearly so."""
    return float(np.std(x)) > _LEAST_SPREAD


def _brier(predicted: _Floats, y: _Floats) -> float:
    return float(np.mean((predicted - y) ** 2))


def _log_loss(predicted: _Floats, y: _Floats) -> float:
    clipped = np.clip(predicted, _CLIPPED, 1 - _CLIPPED)
    return float(-np.mean(y * np.log(clipped) + (1 - y) * np.log(1 - clipped)))


def _sigmoid(x: _Floats) -> _Floats:
    return np.exp(-np.logaddexp(0, -x))


def _information(design: _Floats, at: _Floats) -> tuple[_Floats, _Floats]:
    """Returns the fitted probabilities, and Fisher's information."""
    p = _sigmoid(design @ at)
    return p, design.T @ (design * (p * (1 - p))[:, None])


def _penalised(design: _Floats, y: _Floats, at: _Floats) -> float:
    """Returns the log likelihood with Jeffreys' prior, up to a constant."""
    x = design @ at
    likelihood = float(np.sum(y * x - np.logaddexp(0, x)))
    sign, log_det = np.linalg.slogdet(_information(design, at)[1])
    return likelihood + 0.5 * float(log_det) if sign > 0 else -np.inf


def _firth_step(design: _Floats, y: _Floats, at: _Floats) -> _Floats:
    p, information = _information(design, at)
    inverse = np.linalg.inv(information)
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design) * p * (1 - p)
    step: _Floats = inverse @ (design.T @ (y - p + leverage * (0.5 - p)))
    largest = float(np.abs(step).max())
    return step * min(1.0, _LARGEST_STEP / largest) if largest else step
