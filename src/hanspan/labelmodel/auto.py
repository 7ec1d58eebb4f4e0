"""Choosing a label model without gold.

Where most votes are contradicted by other rules, there is no majority for a vote to rest on, and
a hidden rule is no judge, being mostly wrong itself: Dawid-Skene is taken, which weighs agreement
by how seldom chance gives it. Else the candidates are tried on hidden rules
(:mod:`hanspan.labelmodel.heldout`). Another model than the vote is taken only when hidden rules
agree with it clearly more often than with the vote; where they cannot tell, the vote stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hanspan.labelmodel.calibration import Curve
from hanspan.labelmodel.dawid_skene import DawidSkene
from hanspan.labelmodel.heldout import Make, Trial, gain, try_models
from hanspan.labelmodel.hmm import HMM
from hanspan.labelmodel.resolution import SpanModel
from hanspan.labelmodel.span_vote import SpanVote
from hanspan.labelmodel.votes import Names, Pattern

ENOUGH = 200
"""Hidden votes that must test the models before any of them is believed."""
MARGIN = 0.01
"""Least gain in agreement with hidden rules over the vote."""
SIGMAS = 3.0
"""Least number of standard errors of that gain."""

CONTRADICTED = 0.5
"""Share of contradicted votes from which on hidden rules are not asked."""


@dataclass(frozen=True)
class Choice:
    """The method, why, and the calibration of each method that was tried.

    Attributes:
        method: "vote", "dawid-skene" or "hmm".
        reason: one line.
        curves: by method.
        agreement: F1 of each method against hidden votes where both speak.
        evidence: hidden votes that tested them.
    """

    method: str
    reason: str
    curves: Mapping[str, Curve]
    agreement: Mapping[str, float]
    evidence: int


def make_model(method: str, names: Names, counts: Mapping[Pattern, int]) -> SpanModel:
    """A fitted model by the name of its method."""
    if method == "dawid-skene":
        return DawidSkene(names).fit(counts)
    if method == "hmm":
        return HMM(names).fit(counts)
    return SpanVote(names).fit(counts)


def contradicted(counts: Mapping[Pattern, int], names: Names) -> tuple[float, int]:
    """Share of the votes for a type that another group contradicts, and how many there are.

    Contradiction: borders that cross, another type on the same borders, or the same type on
    borders inside or around. A part with another type, as 合肥 in 合肥市委, is none.
    """
    against = total = 0
    for pattern, times in counts.items():
        said: dict[tuple[int, int, int], set[int]] = {}
        many: dict[tuple[int, int, int], int] = {}
        for start, end, label, rule, _ in pattern.votes:
            if label < names.entity:
                key = (start, end, label)
                said.setdefault(key, set()).add(names.groups[rule])
                many[key] = many.get(key, 0) + 1
        for key, groups in said.items():
            total += many[key] * times
            if any(_clash(key, o) and not theirs <= groups for o, theirs in said.items()):
                against += many[key] * times
    return against / max(total, 1), total


def _clash(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether two different claims cannot both be right."""
    (a, b, label), (c, d, kind) = one, other
    if one == other or b <= c or d <= a:
        return False
    nested = (a <= c and d <= b) or (c <= a and b <= d)
    return not nested or label == kind or (a, b) == (c, d)


def choose_method(
    counts: Mapping[Pattern, int],
    names: Names,
    methods: tuple[str, ...] = ("vote", "dawid-skene", "hmm"),
) -> Choice:
    """Try methods on hidden rules and choose one.

    Args:
        counts: patterns with counts, votes that touch in one pattern.
        names: labels, rules and groups.
        methods: to try; the first is the one that stands in doubt.
    """

    def maker(method: str) -> Make:
        return lambda left: make_model(method, names, left)

    share, votes = contradicted(counts, names)
    clashing = share >= CONTRADICTED and votes >= ENOUGH and "dawid-skene" in methods[1:]
    if clashing:
        methods = ("dawid-skene",)
    trials = try_models(counts, names, {method: maker(method) for method in methods})
    base = trials[methods[0]]
    evidence = base.evidence
    rates = {method: trial.agreement for method, trial in trials.items()}
    curves = {method: trial.curve() for method, trial in trials.items()}
    if clashing:
        method, reason = (
            methods[0],
            (
                f"other rules contradict {share:.0%} of the votes, "
                f"so neither a majority nor hidden rules are to be trusted"
            ),
        )
    else:
        method, reason = _decide(trials, methods, evidence)
    return Choice(method, reason, curves, rates, evidence)


def _decide(
    trials: Mapping[str, Trial], methods: tuple[str, ...], evidence: int
) -> tuple[str, str]:
    base = methods[0]
    if evidence < ENOUGH:
        return base, (f"only {evidence} hidden votes test the models, {ENOUGH} are needed to tell")
    gains = {m: gain(trials[m], trials[base]) for m in methods[1:]}
    told = ", ".join(f"{m} {g:+.1%} ({z:+.1f} standard errors)" for m, (g, z) in gains.items())
    sure = {m: g for m, (g, z) in gains.items() if g >= MARGIN and z >= SIGMAS}
    if not sure:
        return base, f"hidden rules do not clearly prefer another: {told}"
    best = max(sure, key=lambda m: sure[m])
    return best, f"hidden rules agree more often than with the vote: {told}"
