"""Scores without gold: how well a student agrees with weak labels it was not trained on.

Where the rules are silent nothing can be said, so a span counts against the student only where
it touches a character that a rule labelled, or that is certainly no entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanspan.decode import decode, log_softmax
from hanspan.rows import Row
from hanspan.soft import NEGATIVE, POSITIVE


@dataclass(frozen=True)
class Agreement:
    """Counts of spans on held-out rows, and their F1 and topic accuracy."""

    both: int
    student: int
    rules: int
    topic: float

    @property
    def f1(self) -> float:
        """Harmonic mean of ``both / student`` and ``both / rules``; 0 without spans."""
        return 2 * self.both / max(1, self.student + self.rules)

    @property
    def score(self) -> float:
        """F1, or the topic accuracy where there are no spans to agree on."""
        return self.f1 if self.rules else self.topic


def agreement(
    rows: Sequence[Row], logits: Sequence[NDArray[np.floating]], topics: NDArray[np.floating]
) -> Agreement:
    """Compare the student's best paths with the rows' own labels."""
    both = student = rules = 0
    for row, spans in zip(rows, decode(logits, scores=False), strict=True):
        own = set(row.mentions)
        known = (row.state == POSITIVE) | (row.state == NEGATIVE)
        found = {(s.start, s.end, s.label) for s in spans}
        both += len(found & own)
        rules += len(own)
        student += sum(1 for s in found if s in own or known[s[0] : s[1]].any())
    right = [
        int(topics[i].argmax() == row.topic.argmax())
        for i, row in enumerate(rows)
        if len(row.topic) and row.topic.any()
    ]
    return Agreement(both, student, rules, float(np.mean(right)) if right else 0.0)


_TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(3.0), 19))


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """The temperature with the least cross-entropy to soft targets (n, classes); 1 without any.

    Guo et al. 2017, with weak labels for gold: it corrects how sure the model is of what rules
    know, which is the best that can be had without hand labels.
    """
    if len(targets) < 50:
        return 1.0
    losses = [-(targets * log_softmax(logits / t)).sum(-1).mean() for t in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 3)
