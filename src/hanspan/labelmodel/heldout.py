"""What hidden rules say about a label model: the only judge where there is no gold.

Groups of rules are dealt to folds; each fold is hidden in turn, a model is fitted on the votes
that are left, and its answers are compared with the hidden votes. A hidden vote tests a model
only where the rules that are left propose the same borders, so that the model had a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.calibration import Curve, fit_curve
from hanspan.labelmodel.resolution import Chosen, SpanModel
from hanspan.labelmodel.votes import Names, Pattern

Make = Callable[[Mapping[Pattern, int]], SpanModel]
"""A fitted model from patterns with counts."""

FOLDS = 4
RESAMPLES = 200
Floats = NDArray[np.float64]


@dataclass
class Trial:
    """How a model fared with hidden rules.

    Attributes:
        cases: for each pattern that a hidden group voted on: hidden votes that the answer holds,
            spans of the answer that the hidden group contradicts, hidden votes that test the
            model and that the answer does not hold, and how often the pattern occurs.
        score, right, times: of spans of the answer on which a hidden group spoke: probability,
            whether it agreed, and how often.
    """

    cases: list[tuple[int, int, int, int]] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    @property
    def evidence(self) -> int:
        """Hidden votes that tested the model."""
        return sum((held + missed) * times for held, _, missed, times in self.cases)

    @property
    def agreement(self) -> float:
        """F1 of the answers against the hidden votes, where both speak."""
        return float(_f1(np.array(self.cases, np.float64).reshape(-1, 4), None)[0])

    def curve(self) -> Curve:
        """Calibration from this trial."""
        return fit_curve(
            np.array(self.score),
            np.array(self.right, np.float64),
            np.array(self.times, np.float64),
        )


def deal(counts: Mapping[Pattern, int], names: Names, folds: int = FOLDS) -> list[set[int]]:
    """Groups of rules in folds of about equally many votes."""
    votes: dict[int, int] = {}
    for pattern, times in counts.items():
        for _, _, _, rule, _ in pattern.votes:
            group = names.groups[rule]
            votes[group] = votes.get(group, 0) + times
    dealt: list[set[int]] = [set() for _ in range(folds)]
    load = [0] * folds
    first_rule = {
        g: min(names.rules[r] for r, x in enumerate(names.groups) if x == g) for g in votes
    }
    for group in sorted(votes, key=lambda g: (-votes[g], first_rule[g])):
        least = load.index(min(load))
        dealt[least].add(group)
        load[least] += votes[group]
    return [fold for fold in dealt if fold]


def try_models(
    counts: Mapping[Pattern, int], names: Names, makers: Mapping[str, Make]
) -> dict[str, Trial]:
    """One trial for each model, on the same hidden votes in the same order.

    Args:
        counts: patterns of a corpus; cut so that votes that touch stay together.
        names: rules and groups.
        makers: how to fit each model.
    """
    trials = {name: Trial() for name in makers}
    for fold in deal(counts, names):
        if len(fold) == len({names.groups[v[3]] for p in counts for v in p.votes}):
            return trials  # nothing would be left
        left: dict[Pattern, int] = {}
        cases: list[tuple[Pattern, Pattern, int]] = []
        for pattern, times in counts.items():
            open_votes = tuple(v for v in pattern.votes if names.groups[v[3]] not in fold)
            if not open_votes:
                continue
            rest = Pattern(pattern.length, open_votes)
            left[rest] = left.get(rest, 0) + times
            if len(open_votes) < len(pattern.votes):
                cases.append((pattern, rest, times))
        if not cases:
            continue
        distinct = list(dict.fromkeys(rest for _, rest, _ in cases))
        for name, make in makers.items():
            answers = dict(zip(distinct, make(left).resolve(distinct), strict=True))
            for pattern, rest, times in cases:
                _judge(pattern, rest, times, answers[rest].chosen, fold, names, trials[name])
    return trials


def _judge(
    pattern: Pattern,
    rest: Pattern,
    times: int,
    chosen: tuple[Chosen, ...],
    fold: set[int],
    names: Names,
    trial: Trial,
) -> None:
    hidden = sorted({v[:3] for v in pattern.votes if names.groups[v[3]] in fold})
    offered = {v[:2] for v in rest.votes if v[2] < names.entity}
    answer = {(c.start, c.end, c.label) for c in chosen}
    held = missed = contradicted = 0
    for start, end, label in hidden:
        if label < names.entity and (start, end) in offered:
            held += (start, end, label) in answer
            missed += (start, end, label) not in answer
    for c in chosen:
        verdict = None
        for start, end, label in hidden:
            if end <= c.start or c.end <= start:
                continue
            same = (start, end) == (c.start, c.end)
            if same and label in (c.label, names.entity):
                verdict = True
                break
            inside = c.start <= start and end <= c.end and not same
            if not (inside and label != c.label):  # a part of it says nothing about it
                verdict = False
        contradicted += verdict is False
        if verdict is not None:
            trial.score.append(c.score)
            trial.right.append(verdict)
            trial.times.append(times)
    trial.cases.append((held, contradicted, missed, times))


def _f1(cases: Floats, draws: Floats | None) -> Floats:
    """F1 over cases, or over each resample of them (rows of ``draws``)."""
    counts = cases[:, :3] * cases[:, 3:]
    totals = counts.sum(0, keepdims=True) if draws is None else draws @ counts
    held, contradicted, missed = totals.T
    return np.asarray(2 * held / np.maximum(2 * held + contradicted + missed, 1e-9))


def gain(trial: Trial, base: Trial) -> tuple[float, float]:
    """Difference of agreement from ``base``, and how many standard errors that is.

    The error is that of a bootstrap over cases, the same draws for both.
    """
    ours, theirs = (np.array(t.cases, np.float64).reshape(-1, 4) for t in (trial, base))
    if not len(ours):
        return 0.0, 0.0
    rng = np.random.default_rng(0)
    spread = []
    for _ in range(RESAMPLES):
        draws = rng.poisson(1.0, (1, len(ours))).astype(np.float64)
        spread.append(float((_f1(ours, draws) - _f1(theirs, draws))[0]))
    mean = float((_f1(ours, None) - _f1(theirs, None))[0])
    error = float(np.std(spread))
    return mean, mean / error if error > 0 else 0.0
