"""Calibration of the final probability without gold.

For a span of the answer, the question "would a rule that was not asked agree?" has an answer:
hide a group of rules, resolve with the rest, and look at the places where the hidden group
speaks. A logistic curve is fitted from the score to that agreement, and applied to the scores
of the full model. It errs on the low side where the hidden rules are wrong themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.resolution import Resolution, SpanModel, tag_of
from hanspan.labelmodel.votes import Pattern

Floats = NDArray[np.float64]
EDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Curve:
    """sigmoid(slope * logit(score) + shift); the identity by default.

    Attributes:
        slope: below 1 where the model is too sure of itself.
        shift: log odds.
        evidence: answers of hidden rules that it rests on.
    """

    slope: float = 1.0
    shift: float = 0.0
    evidence: float = 0.0

    def __call__(self, score: float) -> float:
        """The calibrated probability."""
        if self.slope == 1.0 and self.shift == 0.0:
            return score
        score = min(max(score, EDGE), 1.0 - EDGE)
        odds = self.slope * np.log(score / (1.0 - score)) + self.shift
        return float(1.0 / (1.0 + np.exp(-odds)))


def fit_curve(score: Floats, agreed: Floats, weight: Floats) -> Curve:
    """The curve of greatest posterior, with priors slope ~ N(1, 0.5) and shift ~ N(0, 1).

    Args:
        score: of spans, before calibration.
        agreed: 1 where the hidden group agreed, else 0.
        weight: how often each occurred.
    """
    evidence = float(weight.sum())
    if evidence < 1:
        return Curve()
    score = np.clip(score, EDGE, 1 - EDGE)
    x = np.stack([np.log(score / (1 - score)), np.ones(len(score))], 1)
    prior, precision = np.array([1.0, 0.0]), np.diag([4.0, 1.0])
    beta = prior.copy()
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30, 30)))
        slope = x.T @ (weight * (agreed - p)) - precision @ (beta - prior)
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + precision
        move = np.linalg.solve(curve, slope)
        size = float(np.abs(move).max())
        beta = beta + move * min(1.0, 1.0 / max(size, 1e-12))
        if size < 1e-6:
            break
    return Curve(float(max(beta[0], 0.05)), float(beta[1]), evidence)


class Calibrated:
    """A span model whose probabilities go through a curve.

    The tag of a chosen span gets the calibrated mass at each of its characters; what is left is
    shared as before.
    """

    def __init__(self, model: SpanModel, curve: Curve) -> None:
        self.model = model
        self.curve = curve
        self.touching = model.touching

    def resolve(self, patterns: Sequence[Pattern]) -> list[Resolution]:
        """The answer for each pattern."""
        return [self._adjust(answer) for answer in self.model.resolve(patterns)]

    def _adjust(self, answer: Resolution) -> Resolution:
        if not answer.chosen:
            return answer
        prob = answer.prob.astype(np.float64)
        chosen = []
        for span in answer.chosen:
            score = self.curve(span.score)
            chosen.append(replace(span, score=score))
            keep = (1.0 - score) / max(1.0 - span.score, EDGE)
            for at in range(span.start, span.end):
                lo, hi = np.searchsorted(answer.char, (at, at + 1))
                own = answer.tag[lo:hi] == tag_of(at, span.start, span.end, span.label)
                if not own.any():
                    continue
                rest = float(prob[lo:hi][~own].sum())
                left = min(rest * keep, 0.99) if rest > 0 else 0.0
                scale = left / rest if rest > 0 else 0.0
                prob[lo:hi] = np.where(own, 1.0 - left, prob[lo:hi] * scale)
        return replace(answer, chosen=tuple(chosen), prob=prob.astype(np.float32))
