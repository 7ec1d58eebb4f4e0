"""Choosing a label model without gold.

The candidates are tried on hidden rules (:mod:`hanspan.labelmodel.heldout`). Another model than
the vote is taken only when hidden rules agree with it clearly more often than with the vote;
where they cannot tell, the vote stands.
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

    trials = try_models(counts, names, {method: maker(method) for method in methods})
    base = trials[methods[0]]
    evidence = base.evidence
    rates = {method: trial.agreement for method, trial in trials.items()}
    curves = {method: trial.curve() for method, trial in trials.items()}
    method, reason = _decide(trials, methods, evidence)
    return Choice(method, reason, curves, rates, evidence)


def _decide(
    trials: Mapping[str, Trial], methods: tuple[str, ...], evidence: int
) -> tuple[str, str]:
    base = methods[0]
    if evidence < ENOUGH:
        return base, (
            f"{base}: only {evidence} hidden votes test the models, {ENOUGH} are needed to tell"
        )
    gains = {m: gain(trials[m], trials[base]) for m in methods[1:]}
    told = ", ".join(f"{m} {g:+.1%} ({z:+.1f} standard errors)" for m, (g, z) in gains.items())
    sure = {m: g for m, (g, z) in gains.items() if g >= MARGIN and z >= SIGMAS}
    if not sure:
        return base, f"{base}: hidden rules do not clearly prefer another: {told}"
    best = max(sure, key=lambda m: sure[m])
    return best, f"{best}: hidden rules agree more often than with the vote: {told}"
